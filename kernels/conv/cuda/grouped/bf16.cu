#include "kernels/conv/cuda/grouped/launch.cuh"

namespace convoy {

template struct GroupedKernels<GroupedHalf<mma::Bf16>>;

}  // namespace convoy
