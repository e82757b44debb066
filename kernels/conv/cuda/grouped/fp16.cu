#include "kernels/conv/cuda/grouped/launch.cuh"

namespace convoy {

template struct GroupedKernels<GroupedHalf<mma::F16>>;

}  // namespace convoy
