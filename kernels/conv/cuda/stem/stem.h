// Convolutions of images with one to four channels. The implicit GEMM loads channels in fours and would waste
// most of its work on them.
#pragma once

#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/device.h"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy {

class CudaContext;

/// For the families of the same names; wgrad's partial sums lie in the workspace.
void stem_ffma_fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation);
void stem_ffma_wgrad(const CudaContext& context, const ConvWgrad& call);
void stem_halo_fprop(const CudaContext& context, const ConvForward& call, LeakyReluEpilogue activation,
                     const Gpu& gpu);
void stem_halo_wgrad(const CudaContext& context, const ConvWgrad& call);

}  // namespace convoy
