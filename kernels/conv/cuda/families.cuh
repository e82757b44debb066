// The families of kernels that multiply a convolution's matrices (ConvFamily, choice.h) as types. One file
// per family instantiates ConvKernels (launch.cuh), so that they compile side by side.
#pragma once

#include <type_traits>
#include <utility>

#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/choice.h"
#include "kernels/conv/cuda/mma/mma_gemm.cuh"
#include "kernels/conv/epilogue.h"

namespace convoy {

/// Calls visit(integral_constant) for the index, which is below Count.
template <std::size_t Count, class Visit>
void with_index(std::size_t index, Visit visit) {
  check(index < Count, "internal error: no such tile");
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((I == index ? visit(std::integral_constant<std::size_t, I>{}) : void()), ...);
  }
  (std::make_index_sequence<Count>{});
}

// A table and a row of it, not the row itself: g++ 12 crashes on a template parameter of class type that is
// an element at a dependent index.
template <const auto& Table, std::size_t I>
using SimtGemmTile = Tile<Table[I].m, Table[I].n, Table[I].k_step, Table[I].thread_m, Table[I].thread_n,
                          Table[I].blocks_per_sm>;
template <class Element, const auto& Table, std::size_t I>
using MmaGemmTile = MmaTile<Element, Table[I].m, Table[I].n, Table[I].warp_m, Table[I].warp_n,
                            Table[I].blocks_per_sm, Table[I].stages>;

/// FFMA for channels in aligned fours.
struct FfmaFamily {
  using Stored = float;
  static constexpr int vec = 4;
  static constexpr std::size_t tile_count = ffma_kernels.size();
  template <std::size_t Index>
  using TileAt = SimtGemmTile<ffma_kernels, Index>;
};

/// FFMA for any channels, loaded one by one.
template <class T>
struct ScalarFamily {
  using Stored = T;
  static constexpr int vec = 1;
  static constexpr std::size_t tile_count = scalar_kernels.size();
  template <std::size_t Index>
  using TileAt = SimtGemmTile<scalar_kernels, Index>;
};

/// Tensor cores for channels in aligned fours (sm_80).
struct Tf32Family {
  using Stored = float;
  static constexpr int vec = 4;
  static constexpr std::size_t tile_count = tf32_kernels.size();
  template <std::size_t Index>
  using TileAt = MmaGemmTile<mma::Tf32, tf32_kernels, Index>;
};

/// Tensor cores for 16-bit channels in aligned eights (sm_80). Element: mma::F16 or mma::Bf16.
template <class Element>
struct HalfFamily {
  using Stored = typename Element::Stored;
  static constexpr int vec = 8;
  static constexpr std::size_t tile_count = half_kernels.size();
  template <std::size_t Index>
  using TileAt = MmaGemmTile<Element, half_kernels, Index>;
};

/// fp16 likewise on sm_75.
struct TuringFamily {
  using Stored = Half;
  static constexpr int vec = 8;
  static constexpr std::size_t tile_count = turing_kernels.size();
  template <std::size_t Index>
  using TileAt = MmaGemmTile<mma::F16Turing, turing_kernels, Index>;
};

/// 16-bit channels in aligned eights by warpgroups (sm_90a), where the gathered operand is a patch of its
/// source (index/patch.h). wgmma/fprop_dgrad.cu and wgmma/wgrad.cu launch its tiles.
template <class Element>
struct HopperFamily {
  using Stored = typename Element::Stored;
  static constexpr int vec = 8;
};

/// The three products of a convolution by one family, for problems that are not empty and for which it was
/// chosen. `partials` (choice.sum.splits, K,T,R,S,C) is where the parts of dw go.
template <class Family>
struct ConvKernels {
  static void fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue,
                    const ConvChoice& choice);
  static void dgrad(const CudaContext& context, const ConvDgrad& call, const ConvChoice& choice);
  static void wgrad(const CudaContext& context, const ConvWgrad& call, const ConvChoice& choice,
                    float* partials);

  /// Whether fprop takes an epilogue's moments: where results of 16 bits go through shared memory.
  static constexpr bool takes_moments = Family::vec == 8;
};

}  // namespace convoy
