#include "kernels/conv_launch.cuh"

namespace convoy {

template struct ConvKernels<Tf32Family>;

}  // namespace convoy
