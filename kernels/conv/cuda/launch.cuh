// How a family's kernels are launched (families.cuh).
#pragma once

#include <limits>

#include "kernels/conv/cuda/families.cuh"
#include "kernels/conv/cuda/kernels.cuh"
#include "kernels/cuda/launch_shared.cuh"
#include "kernels/cuda_context.h"

namespace convoy {
namespace detail {

template <class Tile>
unsigned grid(std::int64_t m, std::int64_t n) {
  const std::int64_t blocks = ceil_div(m, Tile::BM) * ceil_div(n, Tile::BN);
  check(blocks <= std::numeric_limits<int>::max(), "convolution of more blocks than a grid holds");
  return static_cast<unsigned>(blocks);
}

/// Calls run(tile) with the tile measured for `key`, else the family's for out (m,n), summed over k in
/// `splits` parts.
template <class Family, class Run>
void with_tile_for(const CudaContext& context, const std::string& key, std::int64_t m, std::int64_t n,
                   std::int64_t k, int splits, Run run) {
  const Gpu gpu = current_gpu();
  std::optional<std::size_t> tile;
  if (context.tiles != nullptr) tile = measured_tile(*context.tiles, key, Family::cores.tiles, gpu);
  Family::with_tile(tile ? *tile : pick_tile(Family::cores, m, n, k, splits, gpu), run);
}

template <class Tile, class... Parameters, class... Arguments>
void start(const CudaContext& context, Tile, void (*kernel)(Parameters...), dim3 blocks,
           const Arguments&... arguments) {
  launch_with_shared(context, kernel, blocks, Tile::threads, Tile::dynamic_shared_bytes, arguments...);
}

/// What the classes of a DgradProblem come to.
struct DgradExtent {
  std::int64_t rows = 0, most_rows = 0, columns = 0;
  unsigned classes = 0;
};
/// Calls launch(problem, extent) for as many residue classes at a time as a kernel takes.
template <class T, class Launch>
void for_each_dgrad(const CudaContext& context, const ConvDgrad& call, Launch launch) {
  const ConvShape& s = call.shape;
  DgradProblem<T> problem;
  const auto* dy = context.data<const T>(call.dy);  // (N,O,P,Q,K)
  problem.w = context.data<const T>(call.w);        // (K,T,R,S,C)
  problem.dx = context.data<T>(call.dx);            // (N,D,H,W,C)
  problem.d = s.in.d, problem.h = s.in.h, problem.width = s.in.w, problem.c = s.in.c;
  problem.r = s.r, problem.s = s.s, problem.filter = static_cast<int>(s.taps() * s.in.c);
  const std::vector<DgradClass<T>> classes = dgrad_classes(s, dy);
  for (std::size_t first = 0; first < classes.size(); first += max_dgrad_classes) {
    DgradExtent extent;
    extent.classes = static_cast<unsigned>(std::min<std::size_t>(max_dgrad_classes, classes.size() - first));
    for (std::size_t i = 0; i < extent.classes; ++i) {
      const Gather<T>& gather = (problem.classes[i] = classes[first + i]).gather;
      extent.rows += gather.rows;
      extent.most_rows = std::max<std::int64_t>(extent.most_rows, gather.rows);
      extent.columns = std::max<std::int64_t>(extent.columns, gather.columns);
    }
    launch(problem, extent);
  }
}

}  // namespace detail

template <class Family>
void ConvKernels<Family>::fprop(const CudaContext& context, const ConvForward& call,
                                const Epilogue& epilogue) {
  using T = typename Family::Stored;
  const ConvShape& s = call.shape;
  const std::int64_t pixels = s.n * s.out().pixels(), length = s.taps() * s.in.c;
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));                    // (N,D,H,W,C)
  const FilterColumns<T> w{context.data<const T>(call.w), s.k, static_cast<int>(length)};  // (K,T,R,S,C)
  const MatrixOutput<T> y{context.data<T>(call.y), context.data<const float>(call.bias), x.rows, s.k,
                          epilogue};  // (N,O,P,Q,K)
  detail::with_tile_for<Family>(context, fprop_key(s), pixels, s.k, length, 1, [&]<class Tile>(Tile tile) {
    detail::start(context, tile, conv_fprop_kernel<Tile, Family::vec, T>, detail::grid<Tile>(pixels, s.k), x,
                  w, y);
  });
}

template <class Family>
void ConvKernels<Family>::dgrad(const CudaContext& context, const ConvDgrad& call) {
  using T = typename Family::Stored;
  const ConvShape& s = call.shape;
  detail::for_each_dgrad<T>(
      context, call, [&](const DgradProblem<T>& problem, const detail::DgradExtent& extent) {
        detail::with_tile_for<Family>(
            context, dgrad_key(s), extent.rows, s.in.c, extent.columns, 1, [&]<class Tile>(Tile tile) {
              const dim3 blocks(detail::grid<Tile>(extent.most_rows, s.in.c), extent.classes);
              detail::start(context, tile, conv_dgrad_kernel<Tile, Family::vec, T>, blocks, problem);
            });
      });
}

template <class Family>
void ConvKernels<Family>::wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& plan,
                                float* partials) {
  using T = typename Family::Stored;
  const ConvShape& s = call.shape;
  const std::int64_t pixels = s.n * s.out().pixels(), columns = s.taps() * s.in.c;
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));                     // (N,D,H,W,C)
  const PixelColumns<T> dy{context.data<const T>(call.dy), static_cast<int>(pixels), s.k};  // (N,O,P,Q,K)
  const MatrixOutput<float> out{partials, nullptr, s.k, static_cast<int>(columns)};
  detail::with_tile_for<Family>(
      context, wgrad_key(s, plan.splits), s.k, columns, pixels, plan.splits, [&]<class Tile>(Tile tile) {
        const dim3 blocks(detail::grid<Tile>(s.k, columns), static_cast<unsigned>(plan.splits));
        detail::start(context, tile, conv_wgrad_kernel<Tile, Family::vec, T>, blocks, dy, x, out, plan.chunk);
      });
}

}  // namespace convoy
