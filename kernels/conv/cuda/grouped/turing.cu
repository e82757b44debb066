#include "kernels/conv/cuda/grouped/launch.cuh"

namespace convoy {

template struct GroupedKernels<GroupedTuring>;

}  // namespace convoy
