// How a grouped family's kernels are launched. One file per family instantiates GroupedKernels, so that they
// compile side by side.
#pragma once

#include "kernels/conv/cuda/grouped/families.cuh"
#include "kernels/conv/cuda/grouped/kernels.cuh"
#include "kernels/conv/cuda/launch.cuh"

namespace convoy {

namespace detail {

template <class Tile>
dim3 bundled_grid(std::int64_t m, std::int64_t n, std::size_t products, const Bundles& bundles) {
  check(bundles.count <= 65535, "a convolution of 65,536 bundles of groups");
  return dim3(grid<Tile>(m, n), static_cast<unsigned>(products), static_cast<unsigned>(bundles.count));
}

}  // namespace detail

template <class Family>
void GroupedKernels<Family>::fprop(const CudaContext& context, const ConvForward& call,
                                   const Epilogue& epilogue, const ConvChoice& choice, const T* w) {
  const ConvShape& s = call.shape;
  const Bundles& bundles = choice.bundles;
  const ConvShape alone = bundles.alone(s);
  const Gather<T> x =
      among_bundles(forward_gather(alone, context.data<const T>(call.x)), bundles.count);  // (N,D,H,W,C)
  const FilterColumns<T> filters{w, s.k, x.columns};
  const MatrixOutput<T> y{context.data<T>(call.y),
                          context.data<const float>(call.bias),
                          x.rows,
                          s.k,
                          {epilogue.activation}};  // (N,O,P,Q,K)
  detail::with_tile<Family>(choice.tile(), [&]<class Tile>(Tile tile) {
    const dim3 blocks = detail::bundled_grid<Tile>(x.rows, bundles.filters, 1, bundles);
    detail::start(context, tile, grouped_fprop_kernel<Tile, Family::vec, T>, blocks, x, filters, y, bundles);
  });
}

template <class Family>
void GroupedKernels<Family>::dgrad(const CudaContext& context, const ConvDgrad& call,
                                   const ConvChoice& choice, const T* w) {
  const Bundles& bundles = choice.bundles;
  ConvDgrad alone = call;
  alone.shape = bundles.alone(call.shape);
  detail::for_each_dgrad<T>(
      context, alone, [&](DgradProblem<T> problem, const DgradLaunch& launch, std::size_t index) {
        problem.w = w;
        for (DgradClass<T>& cls : problem.classes) cls.gather = among_bundles(cls.gather, bundles.count);
        detail::with_tile<Family>(choice.tile(index), [&]<class Tile>(Tile tile) {
          const dim3 blocks =
              detail::bundled_grid<Tile>(launch.most_rows, bundles.channels, launch.classes, bundles);
          detail::start(context, tile, grouped_dgrad_kernel<Tile, Family::vec, T>, blocks, problem, bundles,
                        call.shape.in.c);
        });
      });
}

template <class Family>
void GroupedKernels<Family>::wgrad(const CudaContext& context, const ConvWgrad& call,
                                   const ConvChoice& choice, float* partials) {
  const ConvShape& s = call.shape;
  const Bundles& bundles = choice.bundles;
  const Gather<T> x = among_bundles(forward_gather(bundles.alone(s), context.data<const T>(call.x)),
                                    bundles.count);  // (N,D,H,W,C)
  const auto* dy = context.data<const T>(call.dy);   // (N,O,P,Q,K)
  const auto splits = static_cast<std::size_t>(choice.sum.splits);
  detail::with_tile<Family>(choice.tile(), [&]<class Tile>(Tile tile) {
    const dim3 blocks = detail::bundled_grid<Tile>(bundles.filters, x.columns, splits, bundles);
    detail::start(context, tile, grouped_wgrad_kernel<Tile, Family::vec, T>, blocks, dy, x, partials, x.rows,
                  s.k, bundles, choice.sum.chunk);
  });
}

}  // namespace convoy
