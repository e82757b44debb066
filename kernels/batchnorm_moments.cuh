// From the sums of a channel to its moments, as BatchNormMoments has them.
#pragma once

#include "kernels/batchnorm.h"
#include "kernels/cuda_device.cuh"

namespace convoy {

struct MomentsOutput {
  double share;
  float *mean, *inv_std;          // (groups,C)
  float *batch_mean, *batch_var;  // (C)
};
inline MomentsOutput moments_output(const CudaContext& context, const BatchNormMoments& call) {
  return {call.share, context.data<float>(call.mean), context.data<float>(call.inv_std),
          context.data<float>(call.batch_mean), context.data<float>(call.batch_var)};
}

/// A thread's channel, its groups in order.
class ChannelMoments {
 public:
  __device__ ChannelMoments(const BatchNormShape& shape, const MomentsOutput& to, int channel)
      : shape_(shape), to_(to), channel_(channel) {}
  /// The group's sums of x and of x² over all its values.
  __device__ void add(int group, double sum, double squares) {
    const int images = min(shape_.group, shape_.global_n - group * shape_.group);
    const auto m = static_cast<double>(images * shape_.pixels);
    const double average = sum / m;
    const double variance = fmax(0.0, squares / m - average * average);
    const std::int64_t at = std::int64_t{group} * shape_.c + channel_;
    to_.mean[at] = static_cast<float>(average);
    to_.inv_std[at] = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(shape_.epsilon)));
    means_ += average;
    variances_ +=
        variance * (m / fmax(m - 1.0, 1.0));  // one value alone counts with its biased variance, zero
  }
  /// After the last group.
  __device__ void finish() const {
    to_.batch_mean[channel_] = static_cast<float>(to_.share * means_);
    to_.batch_var[channel_] = static_cast<float>(to_.share * variances_);
  }

 private:
  const BatchNormShape& shape_;
  const MomentsOutput& to_;
  int channel_;
  double means_ = 0.0, variances_ = 0.0;
};

}  // namespace convoy
