// The three matrix products of a convolution on the implicit-GEMM core: their operands, outputs and kernels.
#pragma once

#include <type_traits>

#include "core/ceil_div.h"
#include "core/host_device.h"
#include "kernels/conv/cuda/simt/simt_gemm.cuh"
#include "kernels/conv/epilogue.h"

namespace convoy {

/// The view through which a tile's kernel reads a gathered matrix. The Gather itself stays in the kernel's
/// parameters.
template <class Tile, class T>
using GatherView = std::conditional_t<Tile::masked_gather, MaskedGather<T>, const Gather<T>&>;

/// Rows of a gathered matrix, K along (tap, channel): A of fprop and dgrad.
template <class View, class T>
struct GatherRows {
  static constexpr bool contiguous_k = true;
  using RowState = typename std::decay_t<View>::Pixel;
  using Cursor = typename std::decay_t<View>::Tap;
  View gather;
  CONVOY_HOST_DEVICE RowState row_state(int row) const { return gather.pixel(row); }
  CONVOY_HOST_DEVICE Cursor cursor(int k) const { return gather.tap(k); }
  CONVOY_HOST_DEVICE bool advance(Cursor& cursor, int steps) const { return gather.advance(cursor, steps); }
  CONVOY_HOST_DEVICE bool inside(const RowState& row, const Cursor& cursor) const {
    return gather.inside(row, cursor);
  }
  CONVOY_HOST_DEVICE const T* address(const RowState& row, const Cursor& cursor) const {
    return gather.address(row, cursor);
  }
};

/// The gathered matrix with K along its rows, (tap, channel) across: B of wgrad.
template <class View, class T>
struct GatherColumns {
  static constexpr bool contiguous_k = false;
  using RowState = typename std::decay_t<View>::Tap;
  struct Cursor {
    int row;
    typename std::decay_t<View>::Pixel pixel;
  };
  View gather;
  CONVOY_HOST_DEVICE RowState row_state(int column) const { return gather.tap(column); }
  CONVOY_HOST_DEVICE Cursor cursor(int k) const { return {k, gather.pixel(k)}; }
  CONVOY_HOST_DEVICE bool advance(Cursor& cursor, int steps) const {
    cursor.row += steps;
    cursor.pixel = gather.pixel(cursor.row);
    return true;
  }
  CONVOY_HOST_DEVICE bool inside(const RowState& row, const Cursor& cursor) const {
    return gather.inside(cursor.pixel, row);
  }
  CONVOY_HOST_DEVICE const T* address(const RowState& row, const Cursor& cursor) const {
    return gather.address(cursor.pixel, row);
  }
};

/// w (K, taps·C) as B (taps·C, K) of fprop.
template <class T>
struct FilterColumns {
  static constexpr bool contiguous_k = true;
  using RowState = int;  ///< where the filter begins; negative: beyond the last
  using Cursor = int;
  const T* w;
  int filters, length;
  CONVOY_HOST_DEVICE RowState row_state(int k) const { return k < filters ? k * length : -1; }
  CONVOY_HOST_DEVICE Cursor cursor(int i) const { return i; }
  CONVOY_HOST_DEVICE bool advance(Cursor& cursor, int steps) const { return (cursor += steps) >= length; }
  CONVOY_HOST_DEVICE bool inside(RowState row, Cursor cursor) const { return row >= 0 && cursor < length; }
  CONVOY_HOST_DEVICE const T* address(RowState row, Cursor cursor) const { return w + (row + cursor); }
};

/// w (K,T,R,S,C) at a class's taps as B (taps·K, C) of dgrad; `gather` counts the taps and, as channels, the
/// filters.
template <class T>
struct FilterRows {
  static constexpr bool contiguous_k = false;
  using RowState = int;
  using Cursor = GatherTap;  ///< its offset is the tap's filter element here
  const T* w;
  const DgradClass<T>& cls;
  int r, s, c;  ///< kernel height and width, channels of x
  int filter;   ///< elements of one filter
  CONVOY_HOST_DEVICE RowState row_state(int channel) const { return channel; }
  CONVOY_HOST_DEVICE void place(Cursor& at) const {
    at.offset = at.c * filter + cls.filter_tap(at.tap, r, s) * c;
  }
  CONVOY_HOST_DEVICE Cursor cursor(int k) const {
    Cursor at = cls.gather.tap(k);
    place(at);
    return at;
  }
  CONVOY_HOST_DEVICE bool advance(Cursor& cursor, int steps) const {
    const int next_offset = cursor.offset + steps * filter;
    const bool next_tap = cls.gather.advance(cursor, steps);
    cursor.offset = next_offset;
    if (next_tap) place(cursor);
    return next_tap;
  }
  CONVOY_HOST_DEVICE bool inside(RowState channel, const Cursor& at) const {
    return channel < c && at.tap < cls.gather.taps;
  }
  CONVOY_HOST_DEVICE const T* address(RowState channel, const Cursor& at) const {
    return w + at.offset + channel;
  }
};

/// dy (pixels,K) as A (K, pixels) of wgrad.
template <class T>
struct PixelColumns {
  static constexpr bool contiguous_k = false;
  using RowState = int;
  using Cursor = int;
  const T* dy;
  int pixels, filters;
  CONVOY_HOST_DEVICE RowState row_state(int k) const { return k; }
  CONVOY_HOST_DEVICE Cursor cursor(int pixel) const { return pixel; }
  CONVOY_HOST_DEVICE bool advance(Cursor& cursor, int steps) const { return (cursor += steps) >= pixels; }
  CONVOY_HOST_DEVICE bool inside(RowState k, Cursor pixel) const { return k < filters && pixel < pixels; }
  CONVOY_HOST_DEVICE const T* address(RowState k, Cursor pixel) const {
    return dy + std::int64_t{pixel} * filters + k;
  }
};

/// A row-major matrix f(sums + bias), its bias optional.
template <class T>
struct MatrixOutput {
  using Stored = T;
  T* data;
  const float* bias_data;
  int rows, columns;
  Epilogue epilogue{};
  CONVOY_HOST_DEVICE T* row(int m) const { return m < rows ? data + std::int64_t{m} * columns : nullptr; }
  /// Whether every value is its sum.
  CONVOY_HOST_DEVICE bool plain() const { return bias_data == nullptr && epilogue.activation.is_identity(); }
  CONVOY_HOST_DEVICE float value(float sum, int n) const {
    return epilogue.activation.f(bias_data != nullptr ? sum + bias_data[n] : sum);
  }
};

/// The pixels of dx (N,D,H,W,C) that belong to a residue class.
template <class T>
struct ClassOutput {
  using Stored = T;
  T* dx;
  const DgradClass<T>& cls;
  int d, h, w, c;
  CONVOY_HOST_DEVICE T* row(int m) const {
    if (m >= cls.gather.rows) return nullptr;
    const GatherWindow at = cls.gather.window(m);
    const std::int64_t nd = std::int64_t{at.n} * d + cls.d.first + at.d * cls.d.stride;
    const std::int64_t ndh = nd * h + cls.h.first + at.h * cls.h.stride;
    return dx + (ndh * w + cls.w.first + at.w * cls.w.stride) * c;
  }
  CONVOY_HOST_DEVICE static bool plain() { return true; }
  CONVOY_HOST_DEVICE float value(float sum, int) const { return sum; }
};

/// Neighbouring blocks share rows of A, the larger operand, and meet them in the L2 cache.
struct BlockTile {
  int m, n;
};
template <class T>
__device__ __forceinline__ BlockTile block_tile(int n_columns) {
  const int across = ceil_div(n_columns, T::BN), block = static_cast<int>(blockIdx.x);
  return {block / across * T::BM, block % across * T::BN};
}

template <class Tile, int Vec, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    conv_fprop_kernel(const __grid_constant__ Gather<T> x, const __grid_constant__ FilterColumns<T> w,
                      const __grid_constant__ MatrixOutput<T> y) {
  const BlockTile at = block_tile<Tile>(y.columns);
  implicit_gemm<Tile, Vec>(GatherRows<GatherView<Tile, T>, T>{x}, w, y, at.m, at.n, 0, w.length, y.columns);
}

/// Residue classes side by side, one per blockIdx.y.
template <class T>
struct DgradProblem {
  DgradClass<T> classes[max_dgrad_classes];
  const T* w;
  T* dx;
  int d, h, width, c, r, s;
  int filter;
  CONVOY_HOST_DEVICE int filter_of_tap(const DgradClass<T>& cls, int tap) const {
    return cls.filter_tap(tap, r, s) * c;
  }
};

template <class Tile, int Vec, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    conv_dgrad_kernel(const __grid_constant__ DgradProblem<T> problem) {
  const DgradClass<T>& cls = problem.classes[blockIdx.y];
  const BlockTile at = block_tile<Tile>(problem.c);
  if (at.m >= cls.gather.rows) return;
  const GatherRows<GatherView<Tile, T>, T> dy{cls.gather};
  const FilterRows<T> w{problem.w, cls, problem.r, problem.s, problem.c, problem.filter};
  const ClassOutput<T> dx{problem.dx, cls, problem.d, problem.h, problem.width, problem.c};
  implicit_gemm<Tile, Vec>(dy, w, dx, at.m, at.n, 0, cls.gather.columns, problem.c);
}

/// Block z sums pixels [z·chunk, (z+1)·chunk) into partial z of `dw` (splits,K,taps·C).
template <class Tile, int Vec, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    conv_wgrad_kernel(const __grid_constant__ PixelColumns<T> dy, const __grid_constant__ Gather<T> x,
                      const __grid_constant__ MatrixOutput<float> dw, int chunk) {
  const BlockTile at = block_tile<Tile>(dw.columns);
  const int split = static_cast<int>(blockIdx.y), begin = split * chunk;
  MatrixOutput<float> partial = dw;
  partial.data += std::int64_t{split} * dw.rows * dw.columns;
  implicit_gemm<Tile, Vec>(dy, GatherColumns<GatherView<Tile, T>, T>{x}, partial, at.m, at.n, begin,
                           min(begin + chunk, dy.pixels), dw.columns);
}

}  // namespace convoy
