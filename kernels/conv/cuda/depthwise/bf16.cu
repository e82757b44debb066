#include "kernels/conv/cuda/depthwise/launch.cuh"

namespace convoy {

template struct DepthwiseKernels<BFloat16>;

}  // namespace convoy
