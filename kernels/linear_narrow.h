// Linear layers with few outputs (a classifier's last layer): kernels of our own instead of cuBLAS, which
// splits such products into hundreds of parts. x (N,C), w (K,C), y and dy (N,K).
#pragma once

#include "kernels/cuda_context.h"
#include "kernels/linear.h"
#include "kernels/rectifier.h"

namespace convoy {

/// Whether these kernels serve the shape; decided by K alone.
constexpr bool is_narrow(const LinearShape& shape) {
  return shape.k <= 64;
}

void narrow_forward(const CudaContext& context, const LinearForward& call, Rectifier activation);
void narrow_dgrad(const CudaContext& context, const LinearDgrad& call);
void narrow_wgrad(const CudaContext& context, const LinearWgrad& call);

}  // namespace convoy
