// fprop and dgrad by warpgroups: tiles and launches.
#include "kernels/conv_hopper.cuh"
#include "kernels/conv_launch.cuh"

namespace convoy {
namespace {

template <class Element, class Visit>
void with_patch_tile(std::size_t index, Visit visit) {
  switch (index) {
    case 0:
      return visit(PatchTile<Element, 256, 128, 4, 1>{});
    case 1:
      return visit(PatchTile<Element, 128, 128, 2, 2>{});
    case 2:
      return visit(PatchTile<Element, 128, 256, 2, 1>{});
    case 3:
      return visit(PatchTile<Element, 256, 64, 2, 2>{});
    case 4:
      return visit(PatchTile<Element, 128, 64, 2, 3>{});
    case 5:
      return visit(PatchTile<Element, 64, 128, 1, 3>{});
    case 6:
      return visit(PatchTile<Element, 64, 64, 1, 4>{});
    case 7:
      return visit(PatchTile<Element, 256, 32, 2, 2>{});
    case 8:
      return visit(PatchTile<Element, 128, 32, 2, 3>{});
    case 9:
      return visit(PatchTile<Element, 128, 64, 1, 3>{});
    default:
      fail("internal error: no such tile");
  }
}

/// Calls run(tile, layout) with the tile measured for `key`, else the cost model's for out (m,n) summed over
/// k, of those whose layout_of(tile) fits the device.
template <class Element, class LayoutOf, class Run>
void with_patch_tile_for(const CudaContext& context, const std::string& key, std::int64_t m, std::int64_t n,
                         std::int64_t k, LayoutOf layout_of, Run run) {
  const Gpu gpu = current_gpu();
  std::optional<std::size_t> best;
  PatchLayout layout{};
  double best_cycles = 0;
  const auto consider = [&](std::size_t index) {
    const PatchLayout candidate = layout_of(patch_tiles[index]);
    const double cycles = gemm_cycles(warpgroups, patch_tiles[index], m, n, k, 1, gpu);
    if (candidate.total > gpu.shared_bytes_per_block || (best && cycles >= best_cycles)) return;
    best = index, layout = candidate, best_cycles = cycles;
  };
  std::optional<std::size_t> measured;
  if (context.tiles != nullptr) measured = measured_tile(*context.tiles, key, patch_tiles, gpu);
  if (measured) consider(*measured);
  if (!best) {
    for (std::size_t index = 0; index < patch_tiles.size(); ++index) consider(index);
  }
  check(best.has_value(), "internal error: a convolution whose patches fit no tile");
  with_patch_tile<Element>(*best, [&](auto tile) { run(tile, layout); });
}

template <class Tile, class... Parameters, class... Arguments>
void start_patch(const CudaContext& context, Tile, void (*kernel)(Parameters...), dim3 blocks,
                 const PatchLayout& layout, const Arguments&... arguments) {
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, layout.total));
  kernel<<<blocks, Tile::threads, static_cast<std::size_t>(layout.total), context.stream>>>(arguments...,
                                                                                            layout);
  check_launch();
}

template <class Element>
void fprop(const CudaContext& context, const ConvForward& call, const std::string& key,
           const Epilogue& epilogue) {
  using T = typename Element::Stored;
  const ConvShape& s = call.shape;
  const int length = static_cast<int>(s.taps() * s.in.c);
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));               // (N,D,H,W,C)
  const PatchFilterColumns<T> w{context.data<const T>(call.w), s.k, s.in.c, length};  // (K,T,R,S,C)
  const MatrixOutput<T> y{context.data<T>(call.y), context.data<const float>(call.bias), x.rows, s.k,
                          epilogue};  // (N,O,P,Q,K)
  with_patch_tile_for<Element>(
      context, key, x.rows, s.k, length, [&](const TileShape& tile) { return fprop_layout(s, tile); },
      [&]<class Tile>(Tile tile, const PatchLayout& layout) {
        const auto kernel = layout.planes == 8 ? patch_fprop_kernel<Tile, 2> : patch_fprop_kernel<Tile, 1>;
        start_patch(context, tile, kernel, detail::grid<Tile>(x.rows, s.k), layout, x,
                    static_cast<int>(s.n * s.in.pixels()), w, y);
      });
}

template <class Element>
void dgrad(const CudaContext& context, const ConvDgrad& call, const std::string& key) {
  using T = typename Element::Stored;
  const ConvShape& s = call.shape;
  detail::for_each_dgrad<T>(
      context, call, [&](const DgradProblem<T>& problem, const detail::DgradExtent& extent) {
        with_patch_tile_for<Element>(
            context, key, extent.rows, s.in.c, extent.columns,
            [&](const TileShape& tile) { return dgrad_layout(s, tile); },
            [&]<class Tile>(Tile tile, const PatchLayout& layout) {
              const dim3 blocks(detail::grid<Tile>(extent.most_rows, s.in.c), extent.classes);
              const auto kernel =
                  layout.planes == 8 ? patch_dgrad_kernel<Tile, 2> : patch_dgrad_kernel<Tile, 1>;
              start_patch(context, tile, kernel, blocks, layout, problem,
                          static_cast<int>(s.n * s.out().pixels()));
            });
      });
}

}  // namespace

template <>
void ConvKernels<HopperFamily<mma::F16>>::fprop(const CudaContext& context, const ConvForward& call,
                                                const Epilogue& epilogue) {
  convoy::fprop<mma::F16>(context, call, fprop_key(call.shape), epilogue);
}
template <>
void ConvKernels<HopperFamily<mma::Bf16>>::fprop(const CudaContext& context, const ConvForward& call,
                                                 const Epilogue& epilogue) {
  convoy::fprop<mma::Bf16>(context, call, fprop_key(call.shape), epilogue);
}
template <>
void ConvKernels<HopperFamily<mma::F16>>::dgrad(const CudaContext& context, const ConvDgrad& call) {
  convoy::dgrad<mma::F16>(context, call, dgrad_key(call.shape));
}
template <>
void ConvKernels<HopperFamily<mma::Bf16>>::dgrad(const CudaContext& context, const ConvDgrad& call) {
  convoy::dgrad<mma::Bf16>(context, call, dgrad_key(call.shape));
}

}  // namespace convoy
