// fprop and wgrad of convolutions whose images have one to four channels by FFMA (stem/stem_ffma.cuh):
// launches.
#include "kernels/conv/cuda/plan.h"
#include "kernels/conv/cuda/stem/stem.h"
#include "kernels/conv/cuda/stem/stem_ffma.cuh"
#include "kernels/cuda_context.h"
#include "kernels/split_sum.h"

namespace convoy {
namespace {

template <class T>
void first_layer_fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation) {
  const ConvShape& s = call.shape;
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));  // (N,D,H,W,C)
  const auto* w = context.data<const T>(call.w);                         // (K,T,R,S,C)
  const auto* bias = context.data<const float>(call.bias);               // (K) or null
  auto* y = context.data<T>(call.y);                                     // (N,O,P,Q,K)
  const bool quads = in_fours(s.k, y);
  const int tile_n = s.k <= 32 ? 32 : 64;
  const dim3 blocks(static_cast<unsigned>(ceil_div(x.rows, 128)),
                    static_cast<unsigned>(ceil_div(s.k, tile_n)));
  const auto run = [&](auto kernel) {
    kernel<<<blocks, first_layer_threads, 0, context.stream>>>(x, w, bias, y, s.k, activation);
    check_launch();
  };
  if (tile_n == 32)
    run(quads ? first_layer_fprop_kernel<4, true, T> : first_layer_fprop_kernel<4, false, T>);
  else
    run(quads ? first_layer_fprop_kernel<8, true, T> : first_layer_fprop_kernel<8, false, T>);
}

template <class T>
void first_layer_wgrad(const CudaContext& context, const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  const Gather<T> x = forward_gather(s, context.data<const T>(call.x));  // (N,D,H,W,C)
  const auto* dy = context.data<const T>(call.dy);                       // (N,O,P,Q,K)
  auto* dw = context.data<float>(call.dw);                               // (K,T,R,S,C)
  const FirstLayerWgradPlan plan = plan_first_layer_wgrad(s);
  float* partials =
      plan.splits == 1 ? dw : context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  const dim3 blocks(static_cast<unsigned>(plan.filter_blocks), static_cast<unsigned>(plan.splits));
  const auto kernel =
      in_fours(s.k, dy) ? first_layer_wgrad_kernel<true, T> : first_layer_wgrad_kernel<false, T>;
  kernel<<<blocks, first_layer_threads, 0, context.stream>>>(x, dy, partials, s.k, plan);
  check_launch();
  if (plan.splits > 1) sum_splits(context, partials, dw, plan.splits, s.weights());
}

}  // namespace

void stem_ffma_fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation) {
  with_storage(call.x.dtype, [&](auto t) { first_layer_fprop<decltype(t)>(context, call, activation); });
}
void stem_ffma_wgrad(const CudaContext& context, const ConvWgrad& call) {
  with_storage(call.x.dtype, [&](auto t) { first_layer_wgrad<decltype(t)>(context, call); });
}

}  // namespace convoy
