// First layers on tensor cores: images of one to four channels, cut into tiles of output pixels of which each
// reads a halo, the rows of its image that its windows see. Plain C++: tests reach it without a GPU.
//
// The gathered matrix (pixels, taps·C) is never made. Along the width, a window's S·C elements are neighbours
// in memory and in the halo: K counts them in pairs, two 16-bit elements of one 32-bit word, S·C rounded up
// to even for each of the R rows. An operand of mma.sync, pairs along K, is then read straight from the halo,
// where zeros stand for what lies outside the image.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/host_device.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/plan.h"
#include "kernels/fast_divide.h"

namespace convoy {

/// A run of `pixels` output pixels of image n, from (p, q) on.
struct HaloTile {
  int n, p, q, pixels;
};
/// Neighbours in a row of an image, of which all or none are inside, and the first's distance from the
/// image's first element.
struct HaloSource {
  int offset;
  bool inside;
};

/// An image convolution x (N,H,W,C) -> y (N,P,Q,K) in tiles of `rows` × `columns` pixels of one image: whole
/// rows, or parts of one row.
struct HaloConv {
  int p, q;
  int height, row_elements;  ///< of an image: H, W·C
  int stride_h, dilation_h;
  int unit;                      ///< elements copied at once, 8 or 2: images begin and end with whole ones
  int first_row, first_element;  ///< where a tile's halo begins, seen from its first pixel's (row, element)
  int step;                      ///< elements between neighbouring windows of a row
  int window_elements;           ///< S·C
  int before;            ///< elements from the begin of a halo's row to the first pair of its first window
  int skip;              ///< elements of a window's first pair that lie before the window
  int row_pairs, pairs;  ///< of a window's row, and of all its R rows
  int length;            ///< taps·C
  int rows, columns;
  int tiles;  ///< of all images
  int halo_rows, row_units;
  FastDivide by_tiles_h, by_tiles_w, by_row_units, by_columns, by_row_pairs;

  /// Windows begin at odd elements, too: pairs then lie across two words.
  bool across_words() const { return step % 2 != 0; }
  CONVOY_HOST_DEVICE int tile_pixels() const { return rows * columns; }
  CONVOY_HOST_DEVICE int row_words() const { return row_units * (unit / 2); }  ///< of 32 bits
  CONVOY_HOST_DEVICE int halo_units() const { return halo_rows * row_units; }
  CONVOY_HOST_DEVICE int halo_bytes() const { return ceil_div(halo_units() * unit * 2, 16) * 16; }

  CONVOY_HOST_DEVICE HaloTile tile(int index) const {
    auto rest = static_cast<std::uint32_t>(index);
    const int at_q = static_cast<int>(by_tiles_w.divide(rest)) * columns,
              at_p = static_cast<int>(by_tiles_h.divide(rest)) * rows;
    const int left_p = p - at_p, left_q = q - at_q;
    return {static_cast<int>(rest), at_p, at_q,
            (left_p < rows ? left_p : rows) * (left_q < columns ? left_q : columns)};
  }
  /// The tile's first among all pixels of y.
  CONVOY_HOST_DEVICE int first_pixel(const HaloTile& at) const { return (at.n * p + at.p) * q + at.q; }
  /// The element of the halo that the first pair of pixel m begins with; some element beyond the last pixel.
  CONVOY_HOST_DEVICE int begin(int m) const {
    if (m >= tile_pixels()) return 0;
    auto rest = static_cast<std::uint32_t>(m);
    const int column = static_cast<int>(by_columns.divide(rest));
    return static_cast<int>(rest) * stride_h * 2 * row_words() + column * step + before;
  }
  CONVOY_HOST_DEVICE HaloSource source(const HaloTile& at, int copied) const {
    auto rest = static_cast<std::uint32_t>(copied);
    const int element = unit * static_cast<int>(by_row_units.divide(rest)) + at.q * step + first_element;
    const int row = static_cast<int>(rest) + at.p * stride_h + first_row;
    return {row * row_elements + element,
            static_cast<unsigned>(row) < static_cast<unsigned>(height) &&
                static_cast<unsigned>(element) < static_cast<unsigned>(row_elements)};
  }
  /// Words from a window's first pair to pair `pair`; none for pairs beyond the last.
  CONVOY_HOST_DEVICE int pair_words(int pair) const {
    if (pair >= pairs) return 0;
    auto rest = static_cast<std::uint32_t>(pair);
    const int at = static_cast<int>(by_row_pairs.divide(rest));
    return static_cast<int>(rest) * dilation_h * row_words() + at;
  }
  /// Column of the gathered matrix (taps·C) that an element, 0 or 1, of a pair is; -1 where it is none.
  CONVOY_HOST_DEVICE int column_of(int pair, int element) const {
    if (pair >= pairs) return -1;
    auto rest = static_cast<std::uint32_t>(pair);
    const int at = 2 * static_cast<int>(by_row_pairs.divide(rest)) + element - skip;
    return at >= 0 && at < window_elements ? static_cast<int>(rest) * window_elements + at : -1;
  }
};

/// In tiles of at most `most_pixels` (a multiple of 8), or nothing where the shape is not an image's, its
/// rows are of an odd number of elements (words would not be aligned) or its windows have gaps along the
/// width.
inline std::optional<HaloConv> plan_halo(const ConvShape& s, int most_pixels) {
  const FeatureShape out = s.out();
  if (s.in.d != 1 || s.t != 1 || s.pad[0] != 0 || s.in.c > 4 || s.dilation[2] != 1 || out.pixels() == 0 ||
      s.in.w * s.in.c % 2 != 0)
    return std::nullopt;
  HaloConv conv{};
  conv.p = out.h, conv.q = out.w;
  conv.height = s.in.h, conv.row_elements = s.in.w * s.in.c;
  conv.stride_h = s.stride[1], conv.dilation_h = s.dilation[1], conv.first_row = -s.pad[1];
  conv.step = s.stride[2] * s.in.c;
  conv.window_elements = s.s * s.in.c;
  conv.length = s.r * conv.window_elements;
  conv.columns =
      out.w <= most_pixels ? out.w : ceil_div(ceil_div(out.w, ceil_div(out.w, most_pixels)), 8) * 8;
  const int tiles_w = ceil_div(out.w, conv.columns);
  conv.rows = tiles_w > 1 ? 1 : ceil_div(out.h, ceil_div(out.h, most_pixels / conv.columns));
  const int tiles_h = ceil_div(out.h, conv.rows);
  conv.tiles = s.n * tiles_h * tiles_w;
  conv.unit = conv.row_elements % 8 == 0 ? 8 : 2;
  const int padding = s.pad[2] * s.in.c, to_window = ceil_div(padding, conv.unit) * conv.unit - padding;
  conv.first_element = -padding - to_window;
  conv.skip = conv.across_words() ? 0 : to_window % 2;
  conv.before = to_window - conv.skip;
  conv.row_pairs = ceil_div(conv.skip + conv.window_elements, 2), conv.pairs = s.r * conv.row_pairs;
  conv.halo_rows = (conv.rows - 1) * conv.stride_h + (s.r - 1) * conv.dilation_h + 1;
  // One more than the last pair needs, as it may lie across two words.
  conv.row_units = ceil_div((conv.columns - 1) * conv.step + conv.before + 2 * conv.row_pairs + 1, conv.unit);
  const auto divide_by = [](int divisor) { return FastDivide(static_cast<std::uint32_t>(divisor)); };
  conv.by_tiles_h = divide_by(tiles_h), conv.by_tiles_w = divide_by(tiles_w);
  conv.by_row_units = divide_by(conv.row_units), conv.by_columns = divide_by(conv.columns);
  conv.by_row_pairs = divide_by(conv.row_pairs);
  return conv;
}

constexpr int halo_most_shared_bytes = 99 << 10;  ///< what every GPU from sm_80 on gives a block
constexpr int halo_stages = 3;                    ///< tiles in shared memory, of which two are on their way
/// Columns of y that a block computes.
constexpr int halo_filters(int filters) {
  return filters <= 32 ? 32 : 64;
}
constexpr int halo_pairs_per_step = 8;  ///< K of m16n8k16
/// The filter of a block in column 0…7 of the tile-th mma.sync of fprop: columns 2t, 2t + 1 of four
/// of them, which one lane holds, are eight neighbours in y.
CONVOY_HOST_DEVICE constexpr int halo_filter(int tile, int column) {
  return tile / 4 * 32 + column / 2 * 8 + tile % 4 * 2 + column % 2;
}

/// fprop: eight warps of 32 pixels each.
struct HaloFprop {
  static constexpr int warps = 8, warp_pixels = 32, threads = 32 * warps, pixels = warps * warp_pixels;
  HaloConv conv;
  int filters;        ///< of a block
  int filter_blocks;  ///< blocks along K
  int steps;          ///< mma.sync along taps·C

  // Shared memory in this order, in bytes.
  CONVOY_HOST_DEVICE int weight_bytes() const {
    return steps * halo_pairs_per_step * filters * static_cast<int>(sizeof(std::uint32_t));
  }
  CONVOY_HOST_DEVICE int tap_bytes() const { return steps * halo_pairs_per_step / 2 * 16; }
  CONVOY_HOST_DEVICE int bias_bytes() const { return 2 * filters * static_cast<int>(sizeof(float)); }
  int shared_bytes() const {
    return weight_bytes() + tap_bytes() + bias_bytes() + halo_stages * conv.halo_bytes();
  }
};
inline std::optional<HaloFprop> plan_halo_fprop(const ConvShape& shape) {
  const std::optional<HaloConv> conv = plan_halo(shape, HaloFprop::pixels);
  if (!conv || shape.k % 8 != 0) return std::nullopt;
  HaloFprop plan{*conv, halo_filters(shape.k), 0, 0};
  plan.filter_blocks = ceil_div(shape.k, plan.filters);
  plan.steps = ceil_div(conv->pairs, halo_pairs_per_step);
  return plan.shared_bytes() <= halo_most_shared_bytes ? std::optional(plan) : std::nullopt;
}

/// wgrad: a warp keeps the sums of all the block's filters × 32 columns, for every lanes-th 16 pixels of a
/// tile.
struct HaloWgrad {
  static constexpr int most_warps = 16, group_pairs = 16;
  /// Of a tile: 16 KiB of dy.
  static constexpr int pixels(int filters) { return 8192 / filters; }
  HaloConv conv;
  int filters;        ///< of a block
  int filter_blocks;  ///< blocks along K
  int groups, lanes;  ///< warps along taps·C and along pixels
  int splits, chunk;  ///< chunk: tiles that a block sums

  int threads() const { return 32 * groups * lanes; }
  CONVOY_HOST_DEVICE int pixel_steps() const { return ceil_div(conv.tile_pixels(), 16); }
  CONVOY_HOST_DEVICE int dy_bytes() const { return pixel_steps() * 16 * filters * 2; }
  /// dy and halo of a tile.
  CONVOY_HOST_DEVICE int stage_bytes() const { return dy_bytes() + conv.halo_bytes(); }
  /// At the end, a row of sums per filter; eight rows begin at distinct banks.
  CONVOY_HOST_DEVICE int sums_per_filter() const { return groups * 2 * group_pairs + 8; }
  int shared_bytes() const {
    return std::max(halo_stages * stage_bytes() + pixel_steps() * 16 * static_cast<int>(sizeof(int)),
                    filters * sums_per_filter() * static_cast<int>(sizeof(float)));
  }
};
/// From the shape alone: tiles, lanes and splits all set the order of the sum.
inline std::optional<HaloWgrad> plan_halo_wgrad(const ConvShape& shape) {
  const int filters = halo_filters(shape.k);
  const std::optional<HaloConv> conv = plan_halo(shape, HaloWgrad::pixels(filters));
  if (!conv || shape.k % 8 != 0) return std::nullopt;
  HaloWgrad plan{*conv, filters, 0, 0, 0, 0, 0};
  plan.filter_blocks = ceil_div(shape.k, plan.filters);
  plan.groups = ceil_div(conv->pairs, HaloWgrad::group_pairs);
  plan.lanes = std::max(1, 8 / plan.groups);
  const int warps = plan.groups * plan.lanes;
  if (warps > HaloWgrad::most_warps || plan.shared_bytes() > halo_most_shared_bytes) return std::nullopt;
  const int blocks = reference_gpu.multiprocessors * (HaloWgrad::most_warps / warps);
  const int wanted = std::clamp(blocks / plan.filter_blocks, 1, std::max(1, conv->tiles));
  plan.chunk = ceil_div(std::max(1, conv->tiles), wanted);
  plan.splits = ceil_div(std::max(1, conv->tiles), plan.chunk);
  return plan;
}

}  // namespace convoy
