// Convolutions of images with one to four channels: too few for the implicit GEMM's quads, too wide an output
// to waste on.
#pragma once

#include "kernels/conv/conv.h"
#include "kernels/rectifier.h"

namespace convoy {

class CudaContext;

bool is_first_layer(const ConvShape& shape);
/// The most partial sums that the kernels which may do the call leave: shape, storage and instructions alone
/// decide, as the order of the sum depends on it.
int first_layer_wgrad_splits(const ConvWgrad& call);

/// Queue the work and return true, or return false where is_first_layer is.
bool first_layer_fprop(const CudaContext& context, const ConvForward& call, Rectifier activation);
bool first_layer_wgrad(const CudaContext& context, const ConvWgrad& call);

/// The same on tensor cores (stem/halo.cu): false where shape, storage, alignment or device do not allow it.
bool halo_fprop(const CudaContext& context, const ConvForward& call, Rectifier activation);
bool halo_wgrad(const CudaContext& context, const ConvWgrad& call);
int halo_wgrad_splits(const ConvWgrad& call);

}  // namespace convoy
