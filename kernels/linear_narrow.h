// Linear layers with few outputs (a classifier's last layer): kernels of our own instead of cuBLAS, which
// splits such products into hundreds of parts. x (N,C), w (K,C), y and dy (N,K).
#pragma once

#include <type_traits>

#include "kernels/cuda_context.h"
#include "kernels/leaky_relu_epilogue.h"
#include "kernels/linear.h"

namespace convoy {

/// Whether these kernels serve the shape; decided by K alone.
constexpr bool is_narrow(const LinearShape& shape) {
  return shape.k <= 64;
}

/// Whether a call's launcher uses cuBLAS.
template <class Call>
constexpr bool needs_cublas(const Call& call) {
  if constexpr (requires { call.plain; }) {  // a fused call around another
    return needs_cublas(call.plain);
  } else if constexpr (requires { call.shape; }) {
    using Shape = std::remove_cvref_t<decltype(call.shape)>;
    if constexpr (std::is_same_v<Shape, LinearShape>) return !is_narrow(call.shape);
  }
  return false;
}

void narrow_forward(const CudaContext& context, const LinearForward& call, LeakyReluEpilogue activation);
void narrow_dgrad(const CudaContext& context, const LinearDgrad& call);
void narrow_wgrad(const CudaContext& context, const LinearWgrad& call);

}  // namespace convoy
