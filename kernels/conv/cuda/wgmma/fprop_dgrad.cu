// fprop and dgrad by warpgroups: tiles and launches.
#include "kernels/conv/cuda/launch.cuh"
#include "kernels/conv/cuda/wgmma/fprop_dgrad.cuh"

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
  const auto fits_device = [&](const TileShape& tile) {
    return layout_of(tile).total <= gpu.shared_bytes_per_block;
  };
  std::optional<std::size_t> tile;
  if (context.tiles != nullptr) tile = measured_tile(*context.tiles, key, patch_tiles, gpu);
  if (!tile || !fits_device(patch_tiles[*tile])) tile = pick_tile(warpgroups, m, n, k, 1, gpu, fits_device);
  const PatchLayout layout = layout_of(patch_tiles[*tile]);
  check(layout.total <= gpu.shared_bytes_per_block,
        "internal error: a convolution whose patches fit no tile");
  with_patch_tile<Element>(*tile, [&](auto kernel_tile) { run(kernel_tile, layout); });
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
      [&]<class Tile>(Tile, const PatchLayout& layout) {
        const auto kernel = layout.planes == 8 ? patch_fprop_kernel<Tile, 2> : patch_fprop_kernel<Tile, 1>;
        launch_with_shared(context, kernel, detail::grid<Tile>(x.rows, s.k), Tile::threads, layout.total, x,
                           static_cast<int>(s.n * s.in.pixels()), w, y, layout);
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
            [&]<class Tile>(Tile, const PatchLayout& layout) {
              const dim3 blocks(detail::grid<Tile>(extent.most_rows, s.in.c), extent.classes);
              const auto kernel =
                  layout.planes == 8 ? patch_dgrad_kernel<Tile, 2> : patch_dgrad_kernel<Tile, 1>;
              launch_with_shared(context, kernel, blocks, Tile::threads, layout.total, problem,
                                 static_cast<int>(s.n * s.out().pixels()), layout);
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
