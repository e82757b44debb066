#include "kernels/conv_launch.cuh"

namespace convoy {

template struct ConvKernels<TuringFamily>;

}  // namespace convoy
