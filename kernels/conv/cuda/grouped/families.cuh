// The families of grouped convolutions as types.
#pragma once

#include "kernels/conv/cuda/families.cuh"
#include "kernels/conv/cuda/grouped/tiles.h"

namespace convoy {

/// The family of the plain convolutions with a grouped family's tiles.
struct GroupedFfma : FfmaFamily {
  static constexpr std::size_t tile_count = grouped_ffma_kernels.size();
  template <std::size_t Index>
  using TileAt = SimtGemmTile<grouped_ffma_kernels, Index>;
};
struct GroupedTf32 : Tf32Family {
  static constexpr std::size_t tile_count = grouped_tf32_kernels.size();
  template <std::size_t Index>
  using TileAt = MmaGemmTile<mma::Tf32, grouped_tf32_kernels, Index>;
};
template <class Element>
struct GroupedHalf : HalfFamily<Element> {
  static constexpr std::size_t tile_count = grouped_half_kernels.size();
  template <std::size_t Index>
  using TileAt = MmaGemmTile<Element, grouped_half_kernels, Index>;
};
using GroupedTuring = TuringFamily;
template <class T>
using GroupedScalar = ScalarFamily<T>;

/// `w` and `partials` have the channels of a bundle (Bundles::padded_weights).
template <class Family>
struct GroupedKernels {
  using T = typename Family::Stored;
  static void fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue,
                    const ConvChoice& choice, const T* w);
  static void dgrad(const CudaContext& context, const ConvDgrad& call, const ConvChoice& choice, const T* w);
  static void wgrad(const CudaContext& context, const ConvWgrad& call, const ConvChoice& choice,
                    float* partials);
};

}  // namespace convoy
