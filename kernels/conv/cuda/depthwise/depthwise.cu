#include "kernels/conv/cuda/depthwise/depthwise.h"
#include "kernels/cuda_device.cuh"

namespace convoy {

void depthwise_fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation) {
  with_storage(call.x.dtype, [&]<class T>(T) { DepthwiseKernels<T>::fprop(context, call, activation); });
}

void depthwise_dgrad(const CudaContext& context, const ConvDgrad& call) {
  with_storage(call.dy.dtype, [&]<class T>(T) { DepthwiseKernels<T>::dgrad(context, call); });
}

void depthwise_wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& sum,
                     float* partials) {
  with_storage(call.x.dtype, [&]<class T>(T) { DepthwiseKernels<T>::wgrad(context, call, sum, partials); });
}

}  // namespace convoy
