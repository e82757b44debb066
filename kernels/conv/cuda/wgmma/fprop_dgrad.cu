// fprop and dgrad by warpgroups: launches.
#include "kernels/conv/cuda/launch.cuh"
#include "kernels/conv/cuda/wgmma/fprop_dgrad.cuh"

namespace convoy {
namespace {

/// Calls run(tile) with a tile of patch_kernels.
template <class Element, class Run>
void with_patch_tile(std::size_t index, Run run) {
  with_index<patch_kernels.size()>(index, [&]<class Index>(Index) {
    constexpr PatchKernel kernel = patch_kernels[Index::value];
    run(PatchTile<Element, kernel.m, kernel.n, kernel.groups, kernel.blocks_per_sm>{});
  });
}

template <class Element>
void fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue,
           const ConvChoice& choice) {
  using T = typename Element::Stored;
  const ConvShape& s = call.shape;
  const int length = static_cast<int>(s.taps() * s.in.c);
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));               // (N,D,H,W,C)
  const PatchFilterColumns<T> w{context.data<const T>(call.w), s.k, s.in.c, length};  // (K,T,R,S,C)
  const MatrixOutput<T> y{context.data<T>(call.y), context.data<const float>(call.bias), x.rows, s.k,
                          epilogue};  // (N,O,P,Q,K)
  const PatchLayout layout = fprop_layout(s, patch_tiles.at(choice.tile()));
  with_patch_tile<Element>(choice.tile(), [&]<class Tile>(Tile) {
    const auto kernel = layout.planes == 8 ? patch_fprop_kernel<Tile, 2> : patch_fprop_kernel<Tile, 1>;
    launch_with_shared(context, kernel, detail::grid<Tile>(x.rows, s.k), Tile::threads, layout.total, x,
                       static_cast<int>(s.n * s.in.pixels()), w, y, layout);
  });
}

template <class Element>
void dgrad(const CudaContext& context, const ConvDgrad& call, const ConvChoice& choice) {
  using T = typename Element::Stored;
  const ConvShape& s = call.shape;
  detail::for_each_dgrad<T>(
      context, call, [&](const DgradProblem<T>& problem, const DgradLaunch& launch, std::size_t index) {
        const PatchLayout layout = dgrad_layout(s, patch_tiles.at(choice.tile(index)));
        with_patch_tile<Element>(choice.tile(index), [&]<class Tile>(Tile) {
          const dim3 blocks(detail::grid<Tile>(launch.most_rows, s.in.c),
                            static_cast<unsigned>(launch.classes));
          const auto kernel = layout.planes == 8 ? patch_dgrad_kernel<Tile, 2> : patch_dgrad_kernel<Tile, 1>;
          launch_with_shared(context, kernel, blocks, Tile::threads, layout.total, problem,
                             static_cast<int>(s.n * s.out().pixels()), layout);
        });
      });
}

}  // namespace

template <>
void ConvKernels<HopperFamily<mma::F16>>::fprop(const CudaContext& context, const ConvForward& call,
                                                const Epilogue& epilogue, const ConvChoice& choice) {
  convoy::fprop<mma::F16>(context, call, epilogue, choice);
}
template <>
void ConvKernels<HopperFamily<mma::Bf16>>::fprop(const CudaContext& context, const ConvForward& call,
                                                 const Epilogue& epilogue, const ConvChoice& choice) {
  convoy::fprop<mma::Bf16>(context, call, epilogue, choice);
}
template <>
void ConvKernels<HopperFamily<mma::F16>>::dgrad(const CudaContext& context, const ConvDgrad& call,
                                                const ConvChoice& choice) {
  convoy::dgrad<mma::F16>(context, call, choice);
}
template <>
void ConvKernels<HopperFamily<mma::Bf16>>::dgrad(const CudaContext& context, const ConvDgrad& call,
                                                 const ConvChoice& choice) {
  convoy::dgrad<mma::Bf16>(context, call, choice);
}

}  // namespace convoy
