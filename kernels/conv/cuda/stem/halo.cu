// fprop and wgrad of first layers on tensor cores (stem/halo.cuh), where shape, storage, alignment and device
// allow.
#include "kernels/conv/cuda/stem/halo.cuh"
#include "kernels/conv/cuda/stem/stem.h"
#include "kernels/conv/cuda/tile_choice.h"
#include "kernels/cuda/launch_shared.cuh"
#include "kernels/cuda/tensor_cores.h"
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

bool aligned(const CudaContext& context, const Tensor& tensor, int bytes) {
  return reinterpret_cast<std::uintptr_t>(context.arenas.raw(tensor)) % static_cast<unsigned>(bytes) == 0;
}
bool stored_in_16_bits(const Tensor& tensor) {
  return tensor.dtype == DType::f16 || tensor.dtype == DType::bf16;
}

/// The plan of a wgrad that goes by these kernels if its operands are aligned.
std::optional<HaloWgrad> wgrad_plan(const ConvWgrad& call) {
  if (!stored_in_16_bits(call.x) || !has_tensor_core_code()) return std::nullopt;
  return plan_halo_wgrad(call.shape);
}

}  // namespace

bool halo_fprop(const CudaContext& context, const ConvForward& call, Rectifier activation) {
  if (!stored_in_16_bits(call.x) || !has_tensor_core_code()) return false;
  const std::optional<HaloFprop> plan = plan_halo_fprop(call.shape);
  if (!plan || !aligned(context, call.x, 2 * plan->conv.unit) || !aligned(context, call.y, mma::chunk_bytes))
    return false;
  const int at_once = 2 * current_gpu().multiprocessors / plan->filter_blocks;
  const dim3 blocks(static_cast<unsigned>(std::clamp(at_once, 1, plan->conv.tiles)),
                    static_cast<unsigned>(plan->filter_blocks));
  with_kernel(call.x.dtype, plan->filters, plan->conv, [&](auto element, auto groups, auto across) {
    using Element = decltype(element);
    using Stored = typename Element::Stored;
    launch_with_shared(context, halo_fprop_kernel<Element, groups(), across()>, blocks, HaloFprop::threads,
                       plan->shared_bytes(), *plan, context.data<const Stored>(call.x),
                       context.data<const Stored>(call.w), context.data<const float>(call.bias),
                       context.data<Stored>(call.y), call.shape.k, activation);
  });
  return true;
}

int halo_wgrad_splits(const ConvWgrad& call) {
  const std::optional<HaloWgrad> plan = wgrad_plan(call);
  return plan ? plan->splits : 1;
}

bool halo_wgrad(const CudaContext& context, const ConvWgrad& call) {
  const std::optional<HaloWgrad> plan = wgrad_plan(call);
  if (!plan || !aligned(context, call.x, 2 * plan->conv.unit) || !aligned(context, call.dy, mma::chunk_bytes))
    return false;
  auto* dw = context.data<float>(call.dw);  // (K,R,S,C)
  float* partials =
      plan->splits == 1 ? dw : context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  const dim3 blocks(static_cast<unsigned>(plan->filter_blocks), static_cast<unsigned>(plan->splits));
  with_kernel(call.x.dtype, plan->filters, plan->conv, [&](auto element, auto groups, auto across) {
    using Element = decltype(element);
    using Stored = typename Element::Stored;
    launch_with_shared(context, halo_wgrad_kernel<Element, groups(), across()>, blocks, plan->threads(),
                       plan->shared_bytes(), *plan, context.data<const Stored>(call.x),
                       context.data<const Stored>(call.dy), partials, call.shape.k);
  });
  if (plan->splits > 1) sum_splits(context, partials, dw, plan->splits, call.shape.weights());
  return true;
}

}  // namespace convoy
