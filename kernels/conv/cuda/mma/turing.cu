#include "kernels/conv/cuda/launch.cuh"

namespace convoy {

template struct ConvKernels<TuringFamily>;

}  // namespace convoy
