#include "kernels/conv/cuda/launch.cuh"

namespace convoy {

template struct ConvKernels<FfmaFamily>;

}  // namespace convoy
