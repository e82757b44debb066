// Softmax cross-entropy: one warp per row of logits (N,C), three passes over it (largest, sums, gradient),
// the last two served by the cache. Sums of the batch for the host: one block. Both are latency-bound at
// usual sizes.
#include <climits>
#include <cmath>

#include "kernels/cuda_device.cuh"
#include "kernels/loss.h"
#include "kernels/loss_scale.h"

namespace convoy {
namespace {

constexpr int rows_per_block = 4;  // few, so that a small batch spreads over the multiprocessors

struct LossTargets {
  float on, off;  // target = (label ? on : 0) + off, on = 1 - smoothing, off = smoothing / C
};

struct RowLargest {
  float value;  ///< NaN where the row has one, so that its loss and gradients say so
  int first;    ///< its first index
  bool has_nan;
};

/// Of a row of logits (classes), by a warp.
template <class T>
__device__ RowLargest largest_of_row(const T* __restrict__ z, int classes, int lane) {
  float largest = -INFINITY;
  int best = INT_MAX;
  bool has_nan = false;
  for (int c = lane; c < classes; c += warp_size) {
    const float value = to_float(z[c]);
    has_nan |= isnan(value);
    if (value > largest || best == INT_MAX) largest = value, best = c;
  }
  for (int offset = warp_size / 2; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(~0u, largest, offset);
    const int other_best = __shfl_xor_sync(~0u, best, offset);
    if (other_best != INT_MAX &&
        (best == INT_MAX || other > largest || (other == largest && other_best < best))) {
      largest = other, best = other_best;
    }
  }
  has_nan = __any_sync(~0u, has_nan);
  return {has_nan ? NAN : largest, best, has_nan};
}

/// T: what logits and their gradients are stored as.
template <class T>
__global__ void __launch_bounds__(rows_per_block* warp_size)
    softmax_cross_entropy_kernel(int n, int classes, LossTargets target, float inv_global_n,
                                 const T* __restrict__ logits, const std::int32_t* __restrict__ labels,
                                 float* __restrict__ loss, std::int32_t* __restrict__ hits,
                                 T* __restrict__ dlogits, const float* __restrict__ scale,
                                 const std::int32_t* __restrict__ partners,
                                 const StepState* __restrict__ state) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const std::int64_t row = std::int64_t{blockIdx.x} * rows_per_block + threadIdx.x / warp_size;
  if (row >= n) return;  // the whole warp
  const T* z = logits + row * classes;
  const std::int32_t label = labels[row], partner = partners != nullptr ? partners[row] : label;
  const float share = partners != nullptr ? state->blend.share : 1.0f;

  const auto [largest, best, has_nan] = largest_of_row(z, classes, lane);
  float sum_exp = 0.0f, sum_shifted = 0.0f, shifted_label = 0.0f, shifted_partner = 0.0f;
  for (int c = lane; c < classes; c += warp_size) {
    const float shifted = to_float(z[c]) - largest;
    sum_exp += expf(shifted);
    sum_shifted += shifted;
    if (c == label) shifted_label = shifted;
    if (c == partner) shifted_partner = shifted;
  }
  sum_exp = warp_sum(sum_exp);
  sum_shifted = warp_sum(sum_shifted);
  shifted_label = warp_sum(shifted_label);
  if (share < 1.0f) {
    shifted_partner = warp_sum(shifted_partner);
    // Skipped at 0: see below.
    shifted_label = (share > 0.0f ? share * shifted_label : 0.0f) + (1.0f - share) * shifted_partner;
  }
  const float log_sum = logf(sum_exp);
  if (lane == 0) {
    float value = target.on * (log_sum - shifted_label);
    // Skipped without smoothing: zero times the log of a vanished probability is no NaN here.
    if (target.off > 0.0f) value += target.off * (static_cast<float>(classes) * log_sum - sum_shifted);
    loss[row] = value;
    hits[row] = !has_nan && best == (share >= 0.5f ? label : partner) ? 1 : 0;
  }
  if (dlogits == nullptr) return;
  const float inv_sum = 1.0f / sum_exp;
  const float factor = scale != nullptr ? scale[loss_scale::scale] * inv_global_n : inv_global_n;
  for (int c = lane; c < classes; c += warp_size) {
    const float probability = expf(to_float(z[c]) - largest) * inv_sum;
    const float hot = (c == label ? share : 0.0f) + (c == partner ? 1.0f - share : 0.0f);
    const float gradient = probability - target.on * hot - target.off;
    dlogits[row * classes + c] = from_float<T>(gradient * factor);
  }
}

/// The same with weights of classes (classes), or null, and a gamma: a fourth pass, as the gradient needs the
/// sum of all classes' slopes.
template <class T>
__global__ void __launch_bounds__(rows_per_block* warp_size)
    weighted_cross_entropy_kernel(int n, int classes, LossTargets target, float inv_global_n,
                                  const T* __restrict__ logits, const std::int32_t* __restrict__ labels,
                                  float* __restrict__ loss, std::int32_t* __restrict__ hits,
                                  T* __restrict__ dlogits, const float* __restrict__ scale,
                                  const std::int32_t* __restrict__ partners,
                                  const StepState* __restrict__ state, const float* __restrict__ weights,
                                  float gamma) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const std::int64_t row = std::int64_t{blockIdx.x} * rows_per_block + threadIdx.x / warp_size;
  if (row >= n) return;  // the whole warp
  const T* z = logits + row * classes;
  const std::int32_t label = labels[row], partner = partners != nullptr ? partners[row] : label;
  const float share = partners != nullptr ? state->blend.share : 1.0f;
  const auto [largest, best, has_nan] = largest_of_row(z, classes, lane);

  float sum_exp = 0.0f;
  for (int c = lane; c < classes; c += warp_size) sum_exp += expf(to_float(z[c]) - largest);
  const float log_sum = logf(warp_sum(sum_exp));
  const auto log_p = [&, max = largest](int c) { return to_float(z[c]) - max - log_sum; };
  const auto term = [&](int c) {
    const float hot = (c == label ? share : 0.0f) + (c == partner ? 1.0f - share : 0.0f);
    const float weight = (weights != nullptr ? weights[c] : 1.0f) * (target.on * hot + target.off);
    if (weight == 0.0f) return FocalTerm<float>{0.0f, 0.0f};
    const FocalTerm<float> one = focal_term(log_p(c), gamma);
    return FocalTerm<float>{weight * one.value, weight * one.slope};
  };
  float value = 0.0f, slopes = 0.0f;
  for (int c = lane; c < classes; c += warp_size) {
    const FocalTerm<float> one = term(c);
    value += one.value, slopes += one.slope;
  }
  value = warp_sum(value);
  slopes = warp_sum(slopes);
  if (lane == 0) {
    loss[row] = has_nan ? NAN : value;  // even if all that counts weighs nothing
    hits[row] = !has_nan && best == (share >= 0.5f ? label : partner) ? 1 : 0;
  }
  if (dlogits == nullptr) return;
  const float factor = scale != nullptr ? scale[loss_scale::scale] * inv_global_n : inv_global_n;
  for (int c = lane; c < classes; c += warp_size)
    dlogits[row * classes + c] = from_float<T>((term(c).slope - expf(log_p(c)) * slopes) * factor);
}

__global__ void __launch_bounds__(block_size)
    accumulate_metrics_kernel(AccumulateMetrics call, const float* __restrict__ loss,
                              const std::int32_t* __restrict__ hits, const StepState* __restrict__ state,
                              double* __restrict__ metrics, float* __restrict__ votes) {
  __shared__ double sums[2][block_size / warp_size];
  double loss_sum = 0.0, hit_sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < call.n; i += block_size) {
    loss_sum += rounded_loss(static_cast<double>(loss[i]));
    hit_sum += hits[i];
  }
  loss_sum = warp_sum(loss_sum);
  hit_sum = warp_sum(hit_sum);
  if (threadIdx.x % warp_size == 0) {
    sums[0][threadIdx.x / warp_size] = loss_sum;
    sums[1][threadIdx.x / warp_size] = hit_sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int warp = 1; warp < block_size / warp_size; ++warp) {
      sums[0][0] += sums[0][warp];
      sums[1][0] += sums[1][warp];
    }
    add_to_metrics(call, sums[0][0], sums[1][0], state->stop, metrics, votes);
  }
}

/// One thread. The host polls `reports` across the bus, so the serial number must not overtake the rest.
__global__ void report_step_kernel(const float* __restrict__ votes, const StepState* __restrict__ state,
                                   double* reports) {
  double* report = fill_report(reports, state->step, votes);
  __threadfence_system();
  *static_cast<volatile double*>(report + report_serial) = serial_of(state->step);
}

}  // namespace

void launch(const CudaContext& context, const SoftmaxCrossEntropy& call) {
  if (call.n == 0) return;
  check(call.classes > 0, "softmax over no class");
  const LossTargets target{1.0f - call.smoothing, call.smoothing / static_cast<float>(call.classes)};
  with_storage(call.logits.dtype, [&](auto stored) {
    using T = decltype(stored);
    const auto queue = [&](auto kernel, auto... more) {
      kernel<<<blocks_for(call.n, rows_per_block), rows_per_block * warp_size, 0, context.stream>>>(
          call.n, call.classes, target, 1.0f / static_cast<float>(call.global_n),
          context.data<const T>(call.logits), context.data<const std::int32_t>(call.labels),
          context.data<float>(call.loss), context.data<std::int32_t>(call.hits),
          context.data<T>(call.dlogits), context.data<const float>(call.loss_scale),
          context.data<const std::int32_t>(call.partner_labels), context.state, more...);
    };
    if (call.weighs()) {
      queue(weighted_cross_entropy_kernel<T>, context.data<const float>(call.class_weights), call.gamma);
    } else {
      queue(softmax_cross_entropy_kernel<T>);
    }
  });
  check_launch();
}

void launch(const CudaContext& context, const AccumulateMetrics& call) {
  if (call.n == 0 && !call.votes) return;
  accumulate_metrics_kernel<<<1, block_size, 0, context.stream>>>(
      call, context.data<const float>(call.loss), context.data<const std::int32_t>(call.hits), context.state,
      context.data<double>(call.metrics), context.data<float>(call.votes));
  check_launch();
}

void launch(const CudaContext& context, const ReportStep& call) {
  report_step_kernel<<<1, 1, 0, context.stream>>>(context.data<const float>(call.votes), context.state,
                                                  context.data<double>(call.reports));
  check_launch();
}

}  // namespace convoy
