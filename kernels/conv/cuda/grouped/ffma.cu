#include "kernels/conv/cuda/grouped/launch.cuh"

namespace convoy {

template struct GroupedKernels<GroupedFfma>;

}  // namespace convoy
