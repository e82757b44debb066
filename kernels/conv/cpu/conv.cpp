// Convolution as matrix products whose rows point into a padded piece of the image (a slab): no im2col.
//
//   fprop  y (pixel, K)    = rows of x slabs (taps·C) · w packed (taps·C, K); bound by multiply-adds
//   dgrad  dx (pixel, C)   = rows of dy slabs (taps·K) · w packed (taps·K, C); a product per stride phase
//   wgrad  dwᵀ (taps·C, K) = columns of x slabs (pixels) · dy (pixels, K); split over images, then added up
//
// A group is a product of its own, whose pixels are further apart than its channels; depthwise convolutions
// are in depthwise.cpp. Work is shared by groups and boxes of outputs (fprop, dgrad), or by groups, chunks of
// images and blocks of filters (wgrad).
#include "kernels/conv/conv.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/ceil_div.h"
#include "kernels/conv/cpu/depthwise.h"
#include "kernels/conv/cpu/slab.h"
#include "kernels/gemm.h"

namespace convoy {
namespace {

constexpr auto float_bytes = static_cast<std::int64_t>(sizeof(float));

/// Buffers of one thread. They grow to the size of the largest call in the first step and stay.
struct Scratch {
  std::vector<float> slab, panels;
  std::vector<const float*> a;
  std::vector<float*> c;
  std::vector<GemmSegment> segments;

  static float* grown(std::vector<float>& buffer, std::int64_t count) {
    if (static_cast<std::int64_t>(buffer.size()) < count) buffer.resize(count);
    return buffer.data();
  }
};
Scratch& scratch() {
  thread_local Scratch buffers;
  return buffers;
}

/// Appends a run of the reduction, joined to the last one where both matrices continue, cut where it is long.
void append(std::vector<GemmSegment>& segments, std::ptrdiff_t a, std::ptrdiff_t b, int length) {
  constexpr int longest = 256;
  if (!segments.empty()) {
    GemmSegment& last = segments.back();
    const int joined = std::min(length, longest - last.length);
    if (last.a + last.length == a && last.b + last.length == b && joined > 0) {
      last.length += joined;
      a += joined, b += joined, length -= joined;
    }
  }
  for (; length > 0; a += longest, b += longest, length -= longest) {
    segments.push_back({a, b, std::min(length, longest)});
  }
}

/// The convolution of one group alone.
ConvShape group_of(ConvShape shape) {
  shape.in.c = shape.group_channels();
  shape.k = shape.group_filters();
  shape.groups = 1;
  return shape;
}

/// One phase of a group's fprop or dgrad: output (positions, columns) = input slabs · weights (taps·depth,
/// columns), packed.
struct Product {
  const ConvShape& shape;  ///< of one group
  AxisMaps maps;
  FeatureShape input_shape, output_shape;  ///< of one group
  int input_pitch, output_pitch;           ///< floats from one pixel to the next
  const float* input;
  const float* weights;  ///< panels (taps·input channels, width)
  const float* bias;     ///< padded, or null
  float* output;

  /// The same of another group, given what a group's weights take when packed.
  Product group(int g, std::int64_t packed_weights) const {
    Product other = *this;
    other.input += g * input_shape.c;
    other.output += g * output_shape.c;
    other.weights += g * packed_weights;
    if (bias) other.bias += g * padded_columns(output_shape.c);
    return other;
  }
};

void run_box(const Product& product, const OutputBoxes& boxes, std::int64_t index) {
  const AxisMaps& maps = product.maps;
  const OutputBox box = boxes.box(index);
  const FeatureShape& in = product.input_shape;
  const FeatureShape& out = product.output_shape;
  Scratch& buffers = scratch();
  buffers.segments.clear(), buffers.a.clear(), buffers.c.clear();

  const bool any_tap = maps[0].taps > 0 && maps[1].taps > 0 && maps[2].taps > 0;
  const float* image = product.input + boxes.image(index) * in.pixels() * product.input_pitch;
  Slab slab{image, {}};
  if (any_tap) {
    float* copy = Scratch::grown(buffers.slab, slab_size(maps, in, box));
    slab = load_slab(maps, in, box, image, product.input_pitch, copy);
    for_each_slab_tap(product.shape, maps, slab, [&](std::int64_t tap, std::int64_t offset) {
      append(buffers.segments, offset, tap * in.c, in.c);
    });
  }
  const std::int64_t pitch = product.output_pitch;
  float* output = product.output + boxes.image(index) * out.pixels() * pitch;
  const auto coordinate = [&](int axis, int i) {
    return maps[axis].first + (box.first[axis] + i) * maps[axis].step;
  };
  for (int i = 0; i < box.count(0); ++i) {
    for (int j = 0; j < box.count(1); ++j) {
      const float* row = slab.data + i * maps[0].scale * slab.stride[0] + j * maps[1].scale * slab.stride[1];
      float* out_row = output + (std::int64_t{coordinate(0, i)} * out.h + coordinate(1, j)) * out.w * pitch;
      for (int l = 0; l < box.count(2); ++l) {
        buffers.a.push_back(row + l * maps[2].scale * slab.stride[2]);
        buffers.c.push_back(out_row + coordinate(2, l) * pitch);
      }
    }
  }
  const int width = gemm_kernel().columns;
  gemm({.a = buffers.a,
        .segments = buffers.segments,
        .b = product.weights,
        .b_panel = product.shape.taps() * in.c * width,
        .b_step = width,
        .c = buffers.c.data(),
        .columns = out.c,
        .bias = product.bias});
}

/// How the wgrad of a group divides its work: by the shape alone.
struct WgradSplit {
  static constexpr int column_block = 64;  ///< filters of a task: a multiple of every kernel's width

  /// `shape` is one group's.
  WgradSplit(const ConvShape& shape, int groups) : boxes(forward_maps(shape), shape.in, shape.n) {
    constexpr std::int64_t most = 32, memory = 8 << 20;  // chunks, floats
    rows = shape.taps() * shape.in.c;
    columns = padded_columns(shape.k);
    chunks = std::clamp<std::int64_t>(memory / (groups * rows * columns), 1, most);
    chunks = std::min(chunks, boxes.count());
  }
  std::int64_t first(std::int64_t chunk) const { return boxes.count() * chunk / chunks; }
  std::int64_t bytes() const { return chunks * rows * columns * float_bytes; }

  OutputBoxes boxes;
  std::int64_t rows, columns, chunks;
};

/// partial (taps·C, K padded) of one chunk for filters [k, k + column_block). `shape` is one group's, whose
/// pixels are that many floats apart in x and dy.
void run_wgrad(const ConvShape& shape, const WgradSplit& split, const float* x, int x_pitch, const float* dy,
               int dy_pitch, std::int64_t chunk, int k, float* partial) {
  constexpr std::int64_t pixels_at_once =
      256;  // of dy: a block of the reduction that stays in the first-level cache
  const FeatureShape out = shape.out();
  const AxisMaps maps = forward_maps(shape);
  const bool inside = reads_inside(maps, shape.in);
  const int width = gemm_kernel().columns;
  const int columns = std::min(WgradSplit::column_block, shape.k - k);
  const int panels = ceil_div(columns, width);
  Scratch& buffers = scratch();

  buffers.c.clear();
  for (std::int64_t row = 0; row < split.rows; ++row) buffers.c.push_back(partial + row * split.columns + k);

  bool accumulate = false;
  for (std::int64_t next = split.first(chunk), last = split.first(chunk + 1); next < last;) {
    // Several boxes at once: a longer reduction repays its loads and stores of dw.
    std::int64_t end = next, pixels = 0, floats = 0;
    while (end < last && (end == next || pixels + split.boxes.box(end).pixels() <= pixels_at_once)) {
      const OutputBox box = split.boxes.box(end++);
      pixels += box.pixels();
      floats += inside ? 0 : slab_size(maps, shape.in, box);
    }
    float* const slabs = Scratch::grown(buffers.slab, floats);
    float* const packed = Scratch::grown(buffers.panels, panels * pixels * width);
    buffers.segments.clear();
    Slab origin;
    float* free = slabs;
    for (std::int64_t pixel = 0; next < end; ++next) {
      const OutputBox box = split.boxes.box(next);
      const int image = split.boxes.image(next);
      const Slab slab =
          load_slab(maps, shape.in, box, x + image * shape.in.pixels() * x_pitch, x_pitch, free);
      if (!inside) free += slab_size(maps, shape.in, box);
      if (pixel == 0) {
        origin = slab;
        buffers.a.clear();
        for_each_slab_tap(shape, maps, slab, [&](std::int64_t, std::int64_t offset) {
          for (int c = 0; c < shape.in.c; ++c) buffers.a.push_back(slab.data + offset + c);
        });
      }
      for (int i = 0; i < box.count(0); ++i) {
        for (int j = 0; j < box.count(1); ++j, pixel += out.w) {
          const float* row =
              slab.data + i * maps[0].scale * slab.stride[0] + j * maps[1].scale * slab.stride[1];
          buffers.segments.push_back({row - origin.data, pixel, out.w});
          const float* dy_row =
              dy +
              (((std::int64_t{image} * out.d + box.first[0] + i) * out.h + box.first[1] + j) * out.w) *
                  dy_pitch +
              k;
          for (int panel = 0; panel < panels; ++panel) {
            pack_panel(packed + (panel * pixels + pixel) * width, dy_row + panel * width, out.w, dy_pitch,
                       std::min(width, columns - panel * width), 1);
          }
        }
      }
    }
    gemm({.a = buffers.a,
          .a_step = maps[2].scale * origin.stride[2],
          .segments = buffers.segments,
          .b = packed,
          .b_panel = pixels * width,
          .b_step = width,
          .c = buffers.c.data(),
          .columns = columns,
          .bias = nullptr,
          .accumulate = accumulate});
    accumulate = true;
  }
}

}  // namespace

template <>
std::int64_t workspace_bytes<CpuContext>(const ConvForward& call) {
  if (call.shape.is_depthwise()) return depthwise_workspace_bytes(call);
  const ConvShape shape = group_of(call.shape);
  return call.shape.groups * (shape.taps() * shape.in.c + 1) * padded_columns(shape.k) * float_bytes;
}
template <>
std::int64_t workspace_bytes<CpuContext>(const ConvDgrad& call) {
  if (call.shape.is_depthwise()) return depthwise_workspace_bytes(call);
  const ConvShape shape = group_of(call.shape);
  return call.shape.groups * shape.taps() * shape.k * padded_columns(shape.in.c) * float_bytes;
}
template <>
std::int64_t workspace_bytes<CpuContext>(const ConvWgrad& call) {
  if (call.shape.is_depthwise()) return depthwise_workspace_bytes(call);
  return call.shape.groups * WgradSplit(group_of(call.shape), call.shape.groups).bytes();
}

void launch(const CpuContext& context, const ConvForward& call) {
  if (call.shape.is_depthwise()) return depthwise(context, call);
  const ConvShape shape = group_of(call.shape);
  const int groups = call.shape.groups, width = gemm_kernel().columns;
  const std::int64_t depth = shape.taps() * shape.in.c, columns = padded_columns(shape.k);
  const float* w = context.data<float>(call.w);
  const float* bias = context.data<float>(call.bias);
  float* packed = context.arenas.workspace<float>(workspace_bytes<CpuContext>(call));
  float* padded_bias = packed + groups * depth * columns;
  for (int g = 0; bias && g < groups; ++g) {
    float* to = padded_bias + g * columns;
    std::fill(std::copy_n(bias + g * shape.k, shape.k, to), to + columns, 0.0f);
  }
  const Product product{shape,
                        forward_maps(shape),
                        shape.in,
                        shape.out(),
                        call.shape.in.c,
                        call.shape.k,
                        context.data<float>(call.x),
                        packed,
                        bias ? padded_bias : nullptr,
                        context.data<float>(call.y)};
  const OutputBoxes boxes(product.maps, shape.in, shape.n);
  const std::int64_t panels = ceil_div(shape.k, width);
  context.threads().for_each(groups * panels, [&](std::int64_t task) {
    const std::int64_t g = task / panels;
    const int k = static_cast<int>(task % panels) * width;
    pack_panel(packed + (g * columns + k) * depth, w + (g * shape.k + k) * depth, depth, 1,
               std::min(width, shape.k - k), depth);
  });
  context.threads().for_each(groups * boxes.count(), [&](std::int64_t task) {
    const int g = static_cast<int>(task % groups);  // neighbours share the image's cache lines
    run_box(product.group(g, depth * columns), boxes, task / groups);
  });
}

void launch(const CpuContext& context, const ConvDgrad& call) {
  if (call.shape.is_depthwise()) return depthwise(context, call);
  const ConvShape shape = group_of(call.shape);
  const int groups = call.shape.groups, c = shape.in.c, width = gemm_kernel().columns;
  const std::int64_t taps = shape.taps(), packed_weights = taps * shape.k * padded_columns(c);
  const float* w = context.data<float>(call.w);
  const float* dy = context.data<float>(call.dy);
  float* dx = context.data<float>(call.dx);
  float* packed = context.arenas.workspace<float>(workspace_bytes<CpuContext>(call));
  const std::int64_t tasks = ceil_div(c, width) * taps;
  context.threads().for_each(groups * tasks, [&](std::int64_t i) {
    const std::int64_t g = i / tasks, task = i % tasks, tap = task % taps;
    const int j = static_cast<int>(task / taps) * width;
    pack_panel(packed + g * packed_weights + (j * taps + tap * width) * shape.k,
               w + (g * shape.k * taps + tap) * c + j, shape.k, taps * c, std::min(width, c - j), 1);
  });
  for (int phase = 0; phase < gradient_phases(shape); ++phase) {
    const Product product{shape,        gradient_maps(shape, phase),
                          shape.out(),  shape.in,
                          call.shape.k, call.shape.in.c,
                          dy,           packed,
                          nullptr,      dx};
    const OutputBoxes boxes(product.maps, product.input_shape, shape.n);
    context.threads().for_each(groups * boxes.count(), [&](std::int64_t task) {
      const int g = static_cast<int>(task % groups);
      run_box(product.group(g, packed_weights), boxes, task / groups);
    });
  }
}

void launch(const CpuContext& context, const ConvWgrad& call) {
  if (call.shape.is_depthwise()) return depthwise(context, call);
  const ConvShape shape = group_of(call.shape);
  const int groups = call.shape.groups;
  const WgradSplit split(shape, groups);
  const float* x = context.data<float>(call.x);
  const float* dy = context.data<float>(call.dy);
  float* dw = context.data<float>(call.dw);
  float* partials =
      context.arenas.workspace<float>(groups * split.bytes());  // (G, chunks, taps·C/G, K/G padded)
  const std::int64_t size = split.rows * split.columns;
  const std::int64_t blocks = ceil_div(shape.k, WgradSplit::column_block);
  context.threads().for_each(split.chunks * blocks * groups, [&](std::int64_t task) {
    const std::int64_t g = task % groups, chunk = task / groups / blocks;
    const int k = static_cast<int>(task / groups % blocks) * WgradSplit::column_block;
    run_wgrad(shape, split, x + g * shape.in.c, call.shape.in.c, dy + g * shape.k, call.shape.k, chunk, k,
              partials + (g * split.chunks + chunk) * size);
  });
  context.threads().for_each(groups * split.rows, [&](std::int64_t task) {
    const std::int64_t g = task / split.rows, row = task % split.rows;
    const float* partial = partials + g * split.chunks * size;
    for (int k = 0; k < shape.k; ++k) {
      float sum = 0.0f;
      for (std::int64_t chunk = 0; chunk < split.chunks; ++chunk) {
        sum += partial[chunk * size + row * split.columns + k];
      }
      dw[(g * shape.k + k) * split.rows + row] = sum;
    }
  });
}

}  // namespace convoy
