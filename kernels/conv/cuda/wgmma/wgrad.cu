// wgrad by warpgroups: launches.
#include "kernels/conv/cuda/launch.cuh"
#include "kernels/conv/cuda/wgmma/wgrad.cuh"

namespace convoy {
namespace {

template <class Element>
void wgrad(const CudaContext& context, const ConvWgrad& call, const ConvChoice& choice, float* partials) {
  using T = typename Element::Stored;
  const ConvShape& s = call.shape;
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));   // (N,D,H,W,C)
  const PixelColumns<T> dy{context.data<const T>(call.dy), x.rows, s.k};  // (N,O,P,Q,K)
  const PatchWgradTile& tile = patch_wgrad_kernels.at(choice.tile());
  const PatchWgradLayout layout = wgrad_layout(s, tile);
  const std::int64_t tiles =
      ceil_div(s.k, tile.filters()) * ceil_div(s.in.c, tile.channels()) * ceil_div(s.taps(), tile.taps());
  const dim3 blocks(static_cast<unsigned>(tiles), static_cast<unsigned>(choice.sum.splits));
  with_index<patch_wgrad_kernels.size()>(choice.tile(), [&]<class Index>(Index) {
    using Kernel = PatchWgradKernel<Element, patch_wgrad_kernels[Index::value]>;
    launch_with_shared(context, patch_wgrad_kernel<Kernel>, blocks, Kernel::block_threads, layout.total, x,
                       static_cast<int>(s.n * s.in.pixels()), dy, partials, choice.sum.chunk, layout);
  });
}

}  // namespace

template <>
void ConvKernels<HopperFamily<mma::F16>>::wgrad(const CudaContext& context, const ConvWgrad& call,
                                                const ConvChoice& choice, float* partials) {
  convoy::wgrad<mma::F16>(context, call, choice, partials);
}
template <>
void ConvKernels<HopperFamily<mma::Bf16>>::wgrad(const CudaContext& context, const ConvWgrad& call,
                                                 const ConvChoice& choice, float* partials) {
  convoy::wgrad<mma::Bf16>(context, call, choice, partials);
}

}  // namespace convoy
