#include "kernels/conv/cuda/grouped/launch.cuh"

namespace convoy {

template struct GroupedKernels<GroupedTf32>;

}  // namespace convoy
