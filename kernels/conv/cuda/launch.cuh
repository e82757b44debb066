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

/// Calls run(tile) with a tile of the family.
template <class Family, class Run>
void with_tile(std::size_t index, Run run) {
  with_index<Family::tile_count>(
      index, [&]<class Index>(Index) { run(typename Family::template TileAt<Index::value>{}); });
}

template <class Tile, class... Parameters, class... Arguments>
void start(const CudaContext& context, Tile, void (*kernel)(Parameters...), dim3 blocks,
           const Arguments&... arguments) {
  launch_with_shared(context, kernel, blocks, Tile::threads, Tile::dynamic_shared_bytes, arguments...);
}

/// Calls launch(problem, extent, index) for as many residue classes at a time as a kernel takes.
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
  const std::vector<DgradLaunch> launches = dgrad_launches(classes);
  for (std::size_t index = 0; index < launches.size(); ++index) {
    const auto first = classes.begin() + static_cast<std::ptrdiff_t>(launches[index].first);
    std::copy_n(first, launches[index].classes, problem.classes);
    launch(problem, launches[index], index);
  }
}

}  // namespace detail

template <class Family>
void ConvKernels<Family>::fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue,
                                const ConvChoice& choice) {
  using T = typename Family::Stored;
  const ConvShape& s = call.shape;
  const std::int64_t pixels = s.n * s.out().pixels(), length = s.taps() * s.in.c;
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));                    // (N,D,H,W,C)
  const FilterColumns<T> w{context.data<const T>(call.w), s.k, static_cast<int>(length)};  // (K,T,R,S,C)
  const MatrixOutput<T> y{context.data<T>(call.y), context.data<const float>(call.bias), x.rows, s.k,
                          epilogue};  // (N,O,P,Q,K)
  detail::with_tile<Family>(choice.tile(), [&]<class Tile>(Tile tile) {
    detail::start(context, tile, conv_fprop_kernel<Tile, Family::vec, T>, detail::grid<Tile>(pixels, s.k), x,
                  w, y);
  });
}

template <class Family>
void ConvKernels<Family>::dgrad(const CudaContext& context, const ConvDgrad& call, const ConvChoice& choice) {
  using T = typename Family::Stored;
  const int c = call.shape.in.c;
  detail::for_each_dgrad<T>(
      context, call, [&](const DgradProblem<T>& problem, const DgradLaunch& launch, std::size_t index) {
        detail::with_tile<Family>(choice.tile(index), [&]<class Tile>(Tile tile) {
          const dim3 blocks(detail::grid<Tile>(launch.most_rows, c), static_cast<unsigned>(launch.classes));
          detail::start(context, tile, conv_dgrad_kernel<Tile, Family::vec, T>, blocks, problem);
        });
      });
}

template <class Family>
void ConvKernels<Family>::wgrad(const CudaContext& context, const ConvWgrad& call, const ConvChoice& choice,
                                float* partials) {
  using T = typename Family::Stored;
  const ConvShape& s = call.shape;
  const std::int64_t pixels = s.n * s.out().pixels(), columns = s.taps() * s.in.c;
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));                     // (N,D,H,W,C)
  const PixelColumns<T> dy{context.data<const T>(call.dy), static_cast<int>(pixels), s.k};  // (N,O,P,Q,K)
  const MatrixOutput<float> out{partials, nullptr, s.k, static_cast<int>(columns)};
  detail::with_tile<Family>(choice.tile(), [&]<class Tile>(Tile tile) {
    const dim3 blocks(detail::grid<Tile>(s.k, columns), static_cast<unsigned>(choice.sum.splits));
    detail::start(context, tile, conv_wgrad_kernel<Tile, Family::vec, T>, blocks, dy, x, out,
                  choice.sum.chunk);
  });
}

}  // namespace convoy
