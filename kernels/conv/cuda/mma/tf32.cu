#include "kernels/conv/cuda/launch.cuh"

namespace convoy {

template struct ConvKernels<Tf32Family>;

}  // namespace convoy
