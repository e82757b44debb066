// fprop and wgrad of first layers on tensor cores (stem/halo.cuh): launches.
#include "kernels/conv/cuda/stem/halo.cuh"
#include "kernels/conv/cuda/stem/stem.h"
#include "kernels/cuda/launch_shared.cuh"
#include "kernels/cuda_context.h"
#include "kernels/split_sum.h"

namespace convoy {
namespace {

/// Calls visit(element, groups, across_words) with the template arguments of a call's kernel.
template <class Visit>
void with_kernel(DType stored, int filters, const HaloConv& conv, Visit visit) {
  const auto of = [&](auto element, auto groups) {
    if (conv.across_words())
      visit(element, groups, std::true_type{});
    else
      visit(element, groups, std::false_type{});
  };
  const auto with_groups = [&](auto element) {
    if (filters == 32)
      of(element, std::integral_constant<int, 1>{});
    else
      of(element, std::integral_constant<int, 2>{});
  };
  if (stored == DType::f16)
    with_groups(mma::F16{});
  else
    with_groups(mma::Bf16{});
}

}  // namespace

void stem_halo_fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation,
                     const Gpu& gpu) {
  const HaloFprop plan = plan_halo_fprop(call.shape).value();
  const int at_once = 2 * gpu.multiprocessors / plan.filter_blocks;
  const dim3 blocks(static_cast<unsigned>(std::clamp(at_once, 1, plan.conv.tiles)),
                    static_cast<unsigned>(plan.filter_blocks));
  with_kernel(call.x.dtype, plan.filters, plan.conv, [&](auto element, auto groups, auto across) {
    using Element = decltype(element);
    using Stored = typename Element::Stored;
    launch_with_shared(context, halo_fprop_kernel<Element, groups(), across()>, blocks, HaloFprop::threads,
                       plan.shared_bytes(), plan, context.data<const Stored>(call.x),
                       context.data<const Stored>(call.w), context.data<const float>(call.bias),
                       context.data<Stored>(call.y), call.shape.k, activation);
  });
}

void stem_halo_wgrad(const CudaContext& context, const ConvWgrad& call) {
  const HaloWgrad plan = plan_halo_wgrad(call.shape).value();
  auto* dw = context.data<float>(call.dw);  // (K,R,S,C)
  float* partials =
      plan.splits == 1 ? dw : context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  const dim3 blocks(static_cast<unsigned>(plan.filter_blocks), static_cast<unsigned>(plan.splits));
  with_kernel(call.x.dtype, plan.filters, plan.conv, [&](auto element, auto groups, auto across) {
    using Element = decltype(element);
    using Stored = typename Element::Stored;
    launch_with_shared(context, halo_wgrad_kernel<Element, groups(), across()>, blocks, plan.threads(),
                       plan.shared_bytes(), plan, context.data<const Stored>(call.x),
                       context.data<const Stored>(call.dy), partials, call.shape.k);
  });
  if (plan.splits > 1) sum_splits(context, partials, dw, plan.splits, call.shape.weights());
}

}  // namespace convoy
