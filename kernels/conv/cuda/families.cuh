// The families of kernels that multiply a convolution's matrices. A family fixes the instruction, how
// operands are stored, and with both the bits of a result; its tiles differ in speed alone. One file per
// family instantiates ConvKernels (launch.cuh), so that they compile side by side.
#pragma once

#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/mma/mma_gemm.cuh"
#include "kernels/conv/cuda/plan.h"
#include "kernels/conv/cuda/tile_choice.h"
#include "kernels/conv/epilogue.h"

namespace convoy {

/// FFMA for channels in aligned fours.
struct FfmaFamily {
  using Stored = float;
  static constexpr const char* name = "ffma";
  static constexpr int vec = 4;
  static constexpr const Cores& cores = ffma_cores;
  /// Calls visit(tile) with the kernel tile of cores.tiles[index]: blocks of M × N, K step, M × N per thread,
  /// blocks per SM.
  template <class Visit>
  static void with_tile(std::size_t index, Visit visit) {
    switch (index) {
      case 0:
        return visit(Tile<128, 128, 16, 8, 8, 2>{});
      case 1:
        return visit(Tile<128, 64, 8, 8, 8, 3>{});
      case 2:
        return visit(Tile<64, 64, 16, 8, 4, 4>{});
      case 3:
        return visit(Tile<128, 32, 16, 8, 4, 4>{});
      case 4:
        return visit(Tile<64, 32, 16, 4, 4, 6>{});
      default:
        fail("internal error: no such tile");
    }
  }
};

/// FFMA for any channels, loaded one by one: one tile, whatever the index.
template <class T>
struct ScalarFamily {
  using Stored = T;
  static constexpr const char* name = "scalar";
  static constexpr int vec = 1;
  static constexpr const Cores& cores = ffma_cores;
  template <class Visit>
  static void with_tile(std::size_t, Visit visit) {
    visit(Tile<64, 64, 16, 8, 4, 4>{});
  }
};

// Tensor cores: blocks of M × N, M × N per warp, blocks per SM.

/// For channels in aligned fours (sm_80).
struct Tf32Family {
  using Stored = float;
  static constexpr const char* name = "tf32";
  static constexpr int vec = 4;
  static constexpr const Cores& cores = tf32_tensor_cores;
  template <class Visit>
  static void with_tile(std::size_t index, Visit visit) {
    using mma::Tf32;
    switch (index) {
      case 0:
        return visit(MmaTile<Tf32, 256, 128, 64, 64, 1>{});
      case 1:
        return visit(MmaTile<Tf32, 128, 128, 64, 64, 2>{});
      case 2:
        return visit(MmaTile<Tf32, 128, 64, 64, 32, 3>{});
      case 3:
        return visit(MmaTile<Tf32, 64, 128, 32, 64, 2>{});
      case 4:
        return visit(MmaTile<Tf32, 64, 64, 32, 32, 4>{});
      case 5:
        return visit(MmaTile<Tf32, 128, 32, 32, 32, 3>{});
      case 6:
        return visit(MmaTile<Tf32, 64, 32, 32, 32, 5>{});
      default:
        fail("internal error: no such tile");
    }
  }
};

/// For 16-bit channels in aligned eights (sm_80). Element: mma::F16 or mma::Bf16.
template <class Element>
struct HalfFamily {
  using Stored = typename Element::Stored;
  static constexpr const char* name = "half";
  static constexpr int vec = 8;
  static constexpr const Cores& cores = half_tensor_cores;
  template <class Visit>
  static void with_tile(std::size_t index, Visit visit) {
    switch (index) {
      case 0:
        return visit(MmaTile<Element, 256, 128, 64, 64, 1>{});
      case 1:
        return visit(MmaTile<Element, 128, 128, 64, 64, 2>{});
      case 2:
        return visit(MmaTile<Element, 128, 64, 64, 32, 2>{});
      case 3:
        return visit(MmaTile<Element, 64, 128, 32, 64, 2>{});
      case 4:
        return visit(MmaTile<Element, 64, 64, 32, 32, 3>{});
      case 5:
        return visit(MmaTile<Element, 128, 32, 32, 32, 3>{});
      case 6:
        return visit(MmaTile<Element, 64, 32, 32, 32, 5>{});
      case 7:
        return visit(MmaTile<Element, 256, 64, 64, 64, 2, 2>{});
      case 8:
        return visit(MmaTile<Element, 128, 256, 64, 64, 1>{});
      default:
        fail("internal error: no such tile");
    }
  }
};

/// fp16 likewise on sm_75: two stages, as much shared memory as it has.
struct TuringFamily {
  using Stored = Half;
  static constexpr const char* name = "turing";
  static constexpr int vec = 8;
  static constexpr const Cores& cores = turing_tensor_cores;
  template <class Visit>
  static void with_tile(std::size_t index, Visit visit) {
    using mma::F16Turing;
    switch (index) {
      case 0:
        return visit(MmaTile<F16Turing, 128, 64, 64, 32, 1, 2>{});
      case 1:
        return visit(MmaTile<F16Turing, 64, 64, 32, 32, 2, 2>{});
      case 2:
        return visit(MmaTile<F16Turing, 64, 32, 32, 32, 2, 2>{});
      default:
        fail("internal error: no such tile");
    }
  }
};

/// 16-bit channels in aligned eights by warpgroups (sm_90a), where the gathered operand is a patch of its
/// source (index/patch.h). Its tiles are wgmma/fprop_dgrad.cu's and wgmma/wgrad.cu's affair.
template <class Element>
struct HopperFamily {
  using Stored = typename Element::Stored;
  static constexpr const char* name = "hopper";
  static constexpr int vec = 8;
  static constexpr const Cores &cores = warpgroups, &wgrad_cores = wgrad_warpgroups;
};

/// The three products of a convolution by one family, for n > 0 pixels and at least one filter. `partials`
/// (plan.splits, K,T,R,S,C) is where the parts of dw go.
template <class Family>
struct ConvKernels {
  static void fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue);
  static void dgrad(const CudaContext& context, const ConvDgrad& call);
  static void wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& plan,
                    float* partials);

  /// Whether fprop takes an epilogue's moments: where results of 16 bits go through shared memory.
  static constexpr bool takes_moments = Family::vec == 8;

  static constexpr std::span<const TileShape> wgrad_tiles() {
    if constexpr (requires { Family::wgrad_cores; })
      return Family::wgrad_cores.tiles;
    else
      return Family::cores.tiles;
  }

  // What tile choices call them.
  static std::string fprop_key(const ConvShape& shape) { return key(ConvForward::name, shape, 1); }
  static std::string dgrad_key(const ConvShape& shape) { return key(ConvDgrad::name, shape, 1); }
  static std::string wgrad_key(const ConvShape& shape, int splits) {
    return key(ConvWgrad::name, shape, splits);
  }

 private:
  static std::string key(const char* product, const ConvShape& shape, int splits) {
    return tile_key(product, Family::name, dtype_of<typename Family::Stored>(), shape, splits);
  }
};

}  // namespace convoy
