// The bias gradients of fused calls whose launchers are in other files.
#pragma once

#include "kernels/fused.h"

namespace convoy {

/// Queues a call that has a `db`.
void max_pool_bias_gradient(const CudaContext& context, const MaxPoolActivationBackward& call);

}  // namespace convoy
