// Geometry of convolutions on the CPU and the copy that writes the padding out.
#include "kernels/conv/cpu/slab.h"

#include <algorithm>
#include <numeric>

#include "core/ceil_div.h"

namespace convoy {

int AxisMap::low() const {
  return offset + std::min(0, (taps - 1) * offset_step);
}
int AxisMap::high() const {
  return offset + std::max(0, (taps - 1) * offset_step);
}

AxisMaps forward_maps(const ConvShape& shape) {
  const FeatureShape out = shape.out();
  const Axes count{out.d, out.h, out.w}, kernel{shape.t, shape.r, shape.s};
  AxisMaps maps;
  for (int axis = 0; axis < 3; ++axis) {
    maps[axis].count = count[axis];
    maps[axis].taps = kernel[axis];
    maps[axis].scale = shape.stride[axis];
    maps[axis].offset = -shape.pad[axis];
    maps[axis].offset_step = shape.dilation[axis];
  }
  return maps;
}

int gradient_phases(const ConvShape& shape) {
  return shape.stride[0] * shape.stride[1] * shape.stride[2];
}

// Input coordinate h meets tap r in output p where h + pad = p stride + r dilation. For h = phase + i stride
// the taps with (phase + pad - r dilation) divisible by the stride remain: a first one, then every (stride /
// gcd)-th.
AxisMaps gradient_maps(const ConvShape& shape, int phase) {
  const Axes length{shape.in.d, shape.in.h, shape.in.w}, kernel{shape.t, shape.r, shape.s};
  AxisMaps maps;
  for (int axis = 2; axis >= 0; --axis) {
    const int stride = shape.stride[axis], dilation = shape.dilation[axis];
    const int first = phase % stride, period = stride / std::gcd(stride, dilation);
    phase /= stride;
    AxisMap& map = maps[axis];
    map.first = first;
    map.step = stride;
    map.count = first < length[axis] ? ceil_div(length[axis] - first, stride) : 0;
    int tap = 0;
    while (tap < std::min(period, kernel[axis]) && (first + shape.pad[axis] - tap * dilation) % stride != 0)
      ++tap;
    if (tap >= std::min(period, kernel[axis])) continue;  // no tap reaches this phase: zeros
    map.tap = tap;
    map.tap_step = period;
    map.taps = ceil_div(kernel[axis] - tap, period);
    map.offset = (first + shape.pad[axis] - tap * dilation) / stride;
    map.offset_step = -(dilation * period / stride);
  }
  return maps;
}

namespace {

FeatureShape region(const AxisMaps& maps, const OutputBox& box, int channels) {
  const auto extent = [&](int axis) {
    return (box.count(axis) - 1) * maps[axis].scale + maps[axis].high() - maps[axis].low() + 1;
  };
  return {extent(0), extent(1), extent(2), channels};
}

/// Floats between neighbouring pixels of a slab. Wide pixels are an odd number of cache lines apart, so that
/// a column of them spreads over the cache's sets. Narrow pixels are dense, so that the taps along a row are
/// one run.
std::int64_t pixel_stride(int channels) {
  return channels >= 32 && channels % 32 == 0 ? channels + 16 : channels;
}

}  // namespace

OutputBoxes::OutputBoxes(const AxisMaps& maps, const FeatureShape& input, int images)
    : length_{maps[0].count, maps[1].count, maps[2].count}, images_(images) {
  constexpr std::int64_t cache = 48 * 1024;  // floats
  constexpr std::int64_t enough = 32, few_pixels = 96;
  cut_ = length_;
  const auto whole = OutputBox{{0, 0, 0}, length_};
  per_image_ = whole.pixels() > 0 ? 1 : 0;
  if (per_image_ == 0) return;
  for (int axis = 0; axis < 2; ++axis) {
    while (cut_[axis] > 1) {
      const OutputBox box{{0, 0, 0}, cut_};
      const bool large = region(maps, box, input.c).count() > cache;
      const bool lonely = count() < enough && box.pixels() >= 2 * few_pixels;
      if (!large && !lonely) break;
      cut_[axis] = (cut_[axis] + 1) / 2;
      per_image_ = 1;
      for (int a = 0; a < 2; ++a) per_image_ *= ceil_div(length_[a], cut_[a]);
    }
  }
}

OutputBox OutputBoxes::box(std::int64_t index) const {
  const int columns = ceil_div(length_[1], cut_[1]);
  const int within = static_cast<int>(index % per_image_);
  const int d = within / columns * cut_[0], h = within % columns * cut_[1];
  return {{d, h, 0}, {std::min(d + cut_[0], length_[0]), std::min(h + cut_[1], length_[1]), length_[2]}};
}

bool reads_inside(const AxisMaps& maps, const FeatureShape& input) {
  const Axes length{input.d, input.h, input.w};
  for (int axis = 0; axis < 3; ++axis) {
    const AxisMap& map = maps[axis];
    if (map.taps > 0 && (map.low() < 0 || (map.count - 1) * map.scale + map.high() >= length[axis]))
      return false;
  }
  return true;
}

std::int64_t slab_size(const AxisMaps& maps, const FeatureShape& input, const OutputBox& box) {
  return region(maps, box, input.c).pixels() * pixel_stride(input.c);
}

Slab load_slab(const AxisMaps& maps, const FeatureShape& input, const OutputBox& box, const float* image,
               int pitch, float* buffer) {
  std::array<int, 3> origin;
  for (int axis = 0; axis < 3; ++axis) origin[axis] = box.first[axis] * maps[axis].scale + maps[axis].low();
  const int c = input.c;
  Slab slab;
  const float* corner = buffer;  // of the region
  if (reads_inside(maps, input)) {
    slab.stride = {std::int64_t{input.h} * input.w * pitch, std::int64_t{input.w} * pitch, pitch};
    corner = image + origin[0] * slab.stride[0] + origin[1] * slab.stride[1] + origin[2] * slab.stride[2];
  } else {
    const FeatureShape size = region(maps, box, c);
    const std::int64_t pixel = pixel_stride(c);
    slab.stride = {size.h * size.w * pixel, size.w * pixel, pixel};
    const int left = std::clamp(-origin[2], 0, size.w), right = std::clamp(input.w - origin[2], left, size.w);
    for (int i = 0; i < size.d; ++i) {
      for (int j = 0; j < size.h; ++j) {
        float* row = buffer + i * slab.stride[0] + j * slab.stride[1];
        const int d = origin[0] + i, h = origin[1] + j;
        if (d < 0 || d >= input.d || h < 0 || h >= input.h || left == right) {
          std::fill(row, row + size.w * pixel, 0.0f);
          continue;
        }
        const float* source = image + ((std::int64_t{d} * input.h + h) * input.w + origin[2]) * pitch;
        std::fill(row, row + left * pixel, 0.0f);
        if (pixel == c && pitch == c) {
          std::copy(source + left * pixel, source + right * pixel, row + left * pixel);
        } else {
          for (int w = left; w < right; ++w)
            std::copy(source + w * pitch, source + w * pitch + c, row + w * pixel);
        }
        std::fill(row + right * pixel, row + size.w * pixel, 0.0f);
      }
    }
  }
  slab.data = corner;
  for (int axis = 0; axis < 3; ++axis)
    slab.data += (maps[axis].offset - maps[axis].low()) * slab.stride[axis];
  return slab;
}

}  // namespace convoy
