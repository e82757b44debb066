#include "kernels/conv/cuda/launch.cuh"

namespace convoy {

template struct ConvKernels<HalfFamily<mma::Bf16>>;

}  // namespace convoy
