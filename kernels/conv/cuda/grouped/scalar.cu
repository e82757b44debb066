#include "kernels/conv/cuda/grouped/launch.cuh"

namespace convoy {

template struct GroupedKernels<GroupedScalar<float>>;
template struct GroupedKernels<GroupedScalar<Half>>;
template struct GroupedKernels<GroupedScalar<BFloat16>>;

}  // namespace convoy
