// Launchers of grouped convolutions: weights are spread to those of bundles before a product, and gathered
// from them after wgrad (bundles.h).
#include "kernels/conv/cuda/grouped/families.cuh"
#include "kernels/conv/cuda/grouped/grouped.h"
#include "kernels/cuda_device.cuh"
#include "kernels/split_sum.h"

namespace convoy {
namespace {

/// Which element of weights (K,T,R,S,C/G) element i of those of bundles (K,T,R,S,channels of one) is;
/// negative where it is a zero between groups.
struct BundleIndex {
  Bundles bundles;
  int taps, channels, filters;  ///< channels and filters of one group
  __device__ std::int64_t weight(std::int64_t i) const {
    const int c = static_cast<int>(i % bundles.channels);
    const std::int64_t row = i / bundles.channels;  // of (K, taps)
    const int group = static_cast<int>(row / taps / filters) % bundles.groups;
    return c / channels == group ? row * channels + c % channels : -1;
  }
  __device__ std::int64_t bundled(std::int64_t weight) const {
    const std::int64_t row = weight / channels;
    const int group = static_cast<int>(row / taps / filters) % bundles.groups;
    return row * bundles.channels + group * channels + weight % channels;
  }
};

BundleIndex index_of(const ConvShape& s, const Bundles& bundles) {
  return {bundles, static_cast<int>(s.taps()), s.group_channels(), s.group_filters()};
}

template <class T>
__global__ void __launch_bounds__(block_size)
    spread_weights_kernel(const BundleIndex index, const T* __restrict__ w, T* __restrict__ spread,
                          std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= count) return;
  const std::int64_t from = index.weight(i);
  spread[i] = from >= 0 ? w[from] : from_float<T>(0.0f);
}

/// dw = the sum of partials (splits, padded weights), split by split.
__global__ void __launch_bounds__(block_size)
    gather_weights_kernel(const BundleIndex index, const float* __restrict__ partials, float* __restrict__ dw,
                          int splits, std::int64_t padded, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= count) return;
  const float* from = partials + index.bundled(i);
  float sum = 0.0f;
#pragma unroll 8
  for (int split = 0; split < splits; ++split) sum += from[split * padded];
  dw[i] = sum;
}

/// Calls run(kernels) with those of the family.
template <class Run>
void with_grouped_kernels(ConvFamily family, DType stored, Run run) {
  switch (family) {
    case ConvFamily::grouped_scalar:
      return with_storage(stored, [&]<class T>(T) { run(GroupedKernels<GroupedScalar<T>>{}); });
    case ConvFamily::grouped_ffma:
      return run(GroupedKernels<GroupedFfma>{});
    case ConvFamily::grouped_tf32:
      return run(GroupedKernels<GroupedTf32>{});
    case ConvFamily::grouped_turing:
      return run(GroupedKernels<GroupedTuring>{});
    case ConvFamily::grouped_half:
      return stored == DType::f16 ? run(GroupedKernels<GroupedHalf<mma::F16>>{})
                                  : run(GroupedKernels<GroupedHalf<mma::Bf16>>{});
    default:
      fail("internal error: {} has no groups", name_of(family));
  }
}

/// The weights as products read them: where they are, or spread in the workspace.
template <class T>
const T* bundled_weights(const CudaContext& context, const ConvShape& s, const Bundles& bundles, const T* w,
                         void* workspace) {
  if (!bundles.pads_weights()) return w;
  auto* spread = static_cast<T*>(workspace);
  const std::int64_t count = bundles.padded_weights(s);
  spread_weights_kernel<<<blocks_for(count), block_size, 0, context.stream>>>(index_of(s, bundles), w, spread,
                                                                              count);
  check_launch();
  return spread;
}

}  // namespace

void grouped_fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue,
                   const ConvChoice& choice, void* workspace) {
  with_grouped_kernels(choice.family, call.x.dtype, [&]<class Kernels>(Kernels kernels) {
    using T = typename Kernels::T;
    const T* w = context.data<const T>(call.w);  // (K,T,R,S,C/G)
    kernels.fprop(context, call, epilogue, choice,
                  bundled_weights(context, call.shape, choice.bundles, w, workspace));
  });
}

void grouped_dgrad(const CudaContext& context, const ConvDgrad& call, const ConvChoice& choice,
                   void* workspace) {
  with_grouped_kernels(choice.family, call.dy.dtype, [&]<class Kernels>(Kernels kernels) {
    using T = typename Kernels::T;
    const T* w = context.data<const T>(call.w);  // (K,T,R,S,C/G)
    kernels.dgrad(context, call, choice, bundled_weights(context, call.shape, choice.bundles, w, workspace));
  });
}

void grouped_wgrad(const CudaContext& context, const ConvWgrad& call, const ConvChoice& choice,
                   void* workspace) {
  const ConvShape& s = call.shape;
  const Bundles& bundles = choice.bundles;
  const int splits = choice.sum.splits;
  auto* dw = context.data<float>(call.dw);  // (K,T,R,S,C/G)
  const bool direct = splits == 1 && !bundles.pads_weights();
  auto* partials = direct ? dw : static_cast<float*>(workspace);
  with_grouped_kernels(choice.family, call.x.dtype,
                       [&](auto kernels) { kernels.wgrad(context, call, choice, partials); });
  if (direct) return;
  if (!bundles.pads_weights()) return sum_splits(context, partials, dw, splits, s.weights());
  gather_weights_kernel<<<blocks_for(s.weights()), block_size, 0, context.stream>>>(
      index_of(s, bundles), partials, dw, splits, bundles.padded_weights(s), s.weights());
  check_launch();
}

}  // namespace convoy
