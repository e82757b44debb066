// The three matrix products of a bundle of groups (bundles.h), one bundle per blockIdx.z. They are those of
// kernels.cuh on a part of the channels (gather.h).
#pragma once

#include "kernels/conv/cuda/grouped/gather.h"
#include "kernels/conv/cuda/kernels.cuh"

namespace convoy {

/// An operand whose addresses are moved by `shift` elements.
template <class Operand>
struct Shifted : Operand {
  int shift;
  template <class RowState, class Cursor>
  CONVOY_HOST_DEVICE auto address(const RowState& row, const Cursor& cursor) const {
    return Operand::address(row, cursor) + shift;
  }
};

/// dy (pixels,K) as A (filters of the bundle, pixels) of wgrad.
template <class T>
struct BundlePixelColumns {
  static constexpr bool contiguous_k = false;
  using RowState = int;
  using Cursor = int;
  const T* dy;  ///< at the bundle's first filter
  int pixels, filters, all_filters;
  CONVOY_HOST_DEVICE RowState row_state(int k) const { return k; }
  CONVOY_HOST_DEVICE Cursor cursor(int pixel) const { return pixel; }
  CONVOY_HOST_DEVICE bool advance(Cursor& cursor, int steps) const { return (cursor += steps) >= pixels; }
  CONVOY_HOST_DEVICE bool inside(RowState k, Cursor pixel) const { return k < filters && pixel < pixels; }
  CONVOY_HOST_DEVICE const T* address(RowState k, Cursor pixel) const {
    return dy + std::int64_t{pixel} * all_filters + k;
  }
};

/// `w` (K, taps · channels of a bundle); `y` (pixels,K).
template <class Tile, int Vec, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    grouped_fprop_kernel(const __grid_constant__ Gather<T> x, const __grid_constant__ FilterColumns<T> w,
                         const __grid_constant__ MatrixOutput<T> y, const __grid_constant__ Bundles bundles) {
  const int bundle = static_cast<int>(blockIdx.z), first_filter = bundle * bundles.filters;
  const BlockTile at = block_tile<Tile>(bundles.filters);
  const Shifted<GatherRows<GatherView<Tile, T>, T>> rows{{x}, bundle * bundles.channels};
  const FilterColumns<T> filters{w.w + std::int64_t{first_filter} * w.length, bundles.filters, w.length};
  MatrixOutput<T> out = y;
  out.data += first_filter;
  if (out.bias_data != nullptr) out.bias_data += first_filter;
  implicit_gemm<Tile, Vec>(rows, filters, out, at.m, at.n, 0, w.length, bundles.filters);
}

/// `problem` is that of a bundle alone, but for `all_channels`, those of dx.
template <class Tile, int Vec, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    grouped_dgrad_kernel(const __grid_constant__ DgradProblem<T> problem,
                         const __grid_constant__ Bundles bundles, int all_channels) {
  const DgradClass<T>& cls = problem.classes[blockIdx.y];
  const int bundle = static_cast<int>(blockIdx.z);
  const BlockTile at = block_tile<Tile>(bundles.channels);
  if (at.m >= cls.gather.rows) return;
  const Shifted<GatherRows<GatherView<Tile, T>, T>> dy{{cls.gather}, bundle * bundles.filters};
  const T* filters = problem.w + std::int64_t{bundle} * bundles.filters * problem.filter;
  const FilterRows<T> w{filters, cls, problem.r, problem.s, bundles.channels, problem.filter};
  const ClassOutput<T> dx{
      problem.dx + bundle * bundles.channels, cls, problem.d, problem.h, problem.width, all_channels};
  implicit_gemm<Tile, Vec>(dy, w, dx, at.m, at.n, 0, cls.gather.columns, bundles.channels);
}

/// Part y of the pixels' sum, `chunk` of them, goes to partials (parts, K, taps · channels of a bundle).
template <class Tile, int Vec, class T>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    grouped_wgrad_kernel(const T* dy, const __grid_constant__ Gather<T> x, float* partials, int pixels,
                         int all_filters, const __grid_constant__ Bundles bundles, int chunk) {
  const int bundle = static_cast<int>(blockIdx.z), part = static_cast<int>(blockIdx.y);
  const int columns = x.columns, begin = part * chunk, first_filter = bundle * bundles.filters;
  const BlockTile at = block_tile<Tile>(columns);
  const BundlePixelColumns<T> rows{dy + first_filter, pixels, bundles.filters, all_filters};
  const Shifted<GatherColumns<GatherView<Tile, T>, T>> gathered{{x}, bundle * bundles.channels};
  const MatrixOutput<float> out{partials + (std::int64_t{part} * all_filters + first_filter) * columns,
                                nullptr, bundles.filters, columns};
  implicit_gemm<Tile, Vec>(rows, gathered, out, at.m, at.n, begin, min(begin + chunk, pixels), columns);
}

}  // namespace convoy
