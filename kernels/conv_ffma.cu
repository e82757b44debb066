#include "kernels/conv_launch.cuh"

namespace convoy {

template struct ConvKernels<FfmaFamily>;

}  // namespace convoy
