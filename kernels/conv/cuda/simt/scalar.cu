#include "kernels/conv/cuda/launch.cuh"

namespace convoy {

template struct ConvKernels<ScalarFamily<float>>;
template struct ConvKernels<ScalarFamily<Half>>;
template struct ConvKernels<ScalarFamily<BFloat16>>;

}  // namespace convoy
