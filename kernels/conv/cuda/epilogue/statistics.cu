// The last step of ConvStatistics: a channel's moments of 64 pixels each become the sums of a group, and with
// a `mean` the moments of batch normalisation. A block of 64 lanes adds up a few channels in a fixed order.
#include "kernels/batchnorm_moments.cuh"
#include "kernels/conv/cuda/epilogue/statistics.h"

namespace convoy {
namespace {

constexpr int channels_at_once = 8;  ///< a sector of moments
constexpr int lanes = 64, together = 16;

/// Adds doubles over the lanes of a channel; the sum is lane 0's.
__device__ double sum_over_lanes(double value, double (&shared)[lanes][channels_at_once]) {
  const int channel = static_cast<int>(threadIdx.x), lane = static_cast<int>(threadIdx.y);
  shared[lane][channel] = value;
  for (int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) shared[lane][channel] += shared[lane + half][channel];
  }
  value = shared[0][channel];
  __syncthreads();
  return value;
}

/// sums (groups,2,C) from the moments of 64 pixels each, and, with `to`, what BatchNormMoments makes of them.
/// Lane l adds the moments l, l + 64, ... of a group, so that the order follows from the shape alone.
__global__ void __launch_bounds__(channels_at_once* lanes, 1)
    finish_statistics_kernel(const BatchNormShape s, const float* __restrict__ moments,
                             double* __restrict__ sums, const __grid_constant__ MomentsOutput to) {
  __shared__ double shared[lanes][channels_at_once];
  const int channel = static_cast<int>(blockIdx.x) * channels_at_once + static_cast<int>(threadIdx.x);
  const int lane = static_cast<int>(threadIdx.y);
  const int groups = s.groups();
  ChannelMoments channel_moments(s, to, channel);
  for (int group = 0; group < groups; ++group) {
    const int first_image = max(group * s.group - s.first, 0);  // of this rank's
    const int end_image = min((group + 1) * s.group - s.first, s.n);
    const std::int64_t end_pixel = end_image * s.pixels, begin = first_image * s.pixels / moment_pixels;
    const std::int64_t end = end_image > first_image ? moment_groups(end_pixel) : begin;
    double sum = 0.0, squares = 0.0;
    for (std::int64_t first = begin + lane; first < end; first += lanes * together) {
      float part[together][2];  // loaded together; zero beyond the last, which changes no bit
#pragma unroll
      for (int i = 0; i < together; ++i) {
        const std::int64_t at = first + i * lanes;
        const float* own = moments + at * 2 * s.c + channel;
        part[i][0] = at < end ? own[0] : 0.0f;
        part[i][1] = at < end ? own[s.c] : 0.0f;
      }
#pragma unroll
      for (int i = 0; i < together; ++i) {
        sum += static_cast<double>(part[i][0]);
        squares += static_cast<double>(part[i][1]);
      }
    }
    sum = sum_over_lanes(sum, shared);
    squares = sum_over_lanes(squares, shared);
    if (lane != 0) continue;
    double* own = sums + std::int64_t{2} * group * s.c + channel;
    own[0] = sum;
    own[s.c] = squares;
    if (to.mean != nullptr) channel_moments.add(group, sum, squares);
  }
  if (lane == 0 && to.mean != nullptr) channel_moments.finish();
}

std::int64_t moments_bytes(const ConvStatistics& call) {
  return moment_groups(call.norm.n * call.norm.pixels) * 2 * call.norm.c * std::int64_t{sizeof(float)};
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const ConvStatistics& call) {
  return takes_statistics(call.plain, call.norm)
             ? std::max(moments_bytes(call), workspace_bytes<CudaContext>(call.statistics()))
             : std::max(workspace_bytes<CudaContext>(call.plain),
                        workspace_bytes<CudaContext>(call.statistics()));
}

void finish_statistics(const CudaContext& context, const ConvStatistics& call, const float* moments) {
  finish_statistics_kernel<<<blocks_for(call.norm.c, channels_at_once), dim3(channels_at_once, lanes), 0,
                             context.stream>>>(call.norm, moments, context.data<double>(call.sums),
                                               moments_output(context, call.moments()));
  check_launch();
}

}  // namespace convoy
