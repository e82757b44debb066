// Depthwise convolutions: a filter per channel. Limited by bytes where windows are small.
#pragma once

#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/plan.h"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy {

class CudaContext;

/// For shapes that are depthwise (ConvShape::is_depthwise) and not empty. `partials` (sum.splits, C,T,R,S) is
/// where the parts of dw go.
void depthwise_fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation);
void depthwise_dgrad(const CudaContext& context, const ConvDgrad& call);
void depthwise_wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& sum,
                     float* partials);

/// The same of one type that tensors are stored in; a file each, so that they compile side by side.
template <class T>
struct DepthwiseKernels {
  static void fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation);
  static void dgrad(const CudaContext& context, const ConvDgrad& call);
  static void wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& sum, float* partials);
};

}  // namespace convoy
