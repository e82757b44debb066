#include "kernels/conv/cuda/depthwise/launch.cuh"

namespace convoy {

template struct DepthwiseKernels<float>;

}  // namespace convoy
