// wgrad by warpgroups: launches.
#include "kernels/conv/cuda/launch.cuh"
#include "kernels/conv/cuda/wgmma/wgrad.cuh"

namespace convoy {
namespace {

/// Calls visit(kernel) for patch_wgrad_kernels[index].
template <class Element, class Visit>
void with_wgrad_kernel(std::size_t index, Visit visit) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((I == index ? visit(PatchWgradKernel<Element, patch_wgrad_kernels[I]>{}) : void()), ...);
  }
  (std::make_index_sequence<patch_wgrad_kernels.size()>{});
}

template <class Element>
void wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& plan, float* partials,
           const std::string& key) {
  using T = typename Element::Stored;
  const ConvShape& s = call.shape;
  const Gpu gpu = current_gpu();
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));   // (N,D,H,W,C)
  const PixelColumns<T> dy{context.data<const T>(call.dy), x.rows, s.k};  // (N,O,P,Q,K)
  bool started = false;
  const auto start_if_fitting = [&](std::size_t index) {
    const PatchWgradTile& tile = patch_wgrad_kernels[index];
    const PatchWgradLayout layout = wgrad_layout(s, tile);
    if (started || layout.total > gpu.shared_bytes_per_block) return;
    const std::int64_t tiles =
        ceil_div(s.k, tile.filters()) * ceil_div(s.in.c, tile.channels()) * ceil_div(s.taps(), tile.taps());
    const dim3 blocks(static_cast<unsigned>(tiles), static_cast<unsigned>(plan.splits));
    with_wgrad_kernel<Element>(index, [&]<class Kernel>(Kernel) {
      launch_with_shared(context, patch_wgrad_kernel<Kernel>, blocks, Kernel::block_threads, layout.total, x,
                         static_cast<int>(s.n * s.in.pixels()), dy, partials, plan.chunk, layout);
    });
    started = true;
  };
  if (context.tiles != nullptr) {
    if (const auto measured = measured_tile(*context.tiles, key, patch_wgrad_tiles, gpu))
      start_if_fitting(*measured);
  }
  for (std::size_t index = wgrad_tile(s); index < patch_wgrad_kernels.size(); ++index)
    start_if_fitting(index);
  check(started, "internal error: a convolution whose patches fit no tile");
}

}  // namespace

template <>
void ConvKernels<HopperFamily<mma::F16>>::wgrad(const CudaContext& context, const ConvWgrad& call,
                                                const WgradPlan& plan, float* partials) {
  convoy::wgrad<mma::F16>(context, call, plan, partials, wgrad_key(call.shape, plan.splits));
}
template <>
void ConvKernels<HopperFamily<mma::Bf16>>::wgrad(const CudaContext& context, const ConvWgrad& call,
                                                 const WgradPlan& plan, float* partials) {
  convoy::wgrad<mma::Bf16>(context, call, plan, partials, wgrad_key(call.shape, plan.splits));
}

}  // namespace convoy
