// wgrad by warpgroups: tiles and launches.
#include "kernels/conv_hopper_wgrad.cuh"
#include "kernels/conv_launch.cuh"

namespace convoy {
namespace {

template <class Element, class Visit>
void with_wgrad_tile(std::size_t index, Visit visit) {
  switch (index) {
    case 0:
      return visit(PatchWgradTile<Element, 128, 4>{});
    case 1:
      return visit(PatchWgradTile<Element, 128, 3>{});
    case 2:
      return visit(PatchWgradTile<Element, 64, 3>{});
    default:
      fail("internal error: no such tile");
  }
}

template <class Element>
void wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& plan, float* partials,
           const std::string& key) {
  using T = typename Element::Stored;
  const ConvShape& s = call.shape;
  const Gpu gpu = current_gpu();
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));   // (N,D,H,W,C)
  const PixelColumns<T> dy{context.data<const T>(call.dy), x.rows, s.k};  // (N,O,P,Q,K)
  const std::int64_t tiles =
      ceil_div(s.k, wgrad_filters) * ceil_div(s.in.c, wgrad_channels) * ceil_div(s.taps(), wgrad_taps);
  const dim3 blocks(static_cast<unsigned>(tiles), static_cast<unsigned>(plan.splits));
  bool started = false;
  const auto start_if_fitting = [&](std::size_t index) {
    with_wgrad_tile<Element>(index, [&]<class Tile>(Tile) {
      const PatchWgradLayout layout = wgrad_layout(s, Tile::pixels, Tile::stages);
      if (started || layout.total > gpu.shared_bytes_per_block) return;
      const auto kernel = patch_wgrad_kernel<Tile>;
      check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, layout.total));
      kernel<<<blocks, Tile::block_threads, static_cast<std::size_t>(layout.total), context.stream>>>(
          x, static_cast<int>(s.n * s.in.pixels()), dy, partials, plan.chunk, layout);
      check_launch();
      started = true;
    });
  };
  if (context.tiles != nullptr) {
    if (const auto measured = measured_tile(*context.tiles, key, patch_wgrad_tiles, gpu))
      start_if_fitting(*measured);
  }
  for (std::size_t index = 0; index < patch_wgrad_tiles.size(); ++index) start_if_fitting(index);
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
