#include "kernels/conv/cuda/launch.cuh"

namespace convoy {

template struct ConvKernels<HalfFamily<mma::F16>>;

}  // namespace convoy
