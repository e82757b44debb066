// Convolutions of images with one to four channels: too few for the implicit GEMM's quads, too wide an output
// to waste on.
#pragma once

#include "kernels/conv.h"
#include "kernels/rectifier.h"

namespace convoy {

class CudaContext;

bool is_first_layer(const ConvShape& shape);
/// Shape alone decides, as the order of the sum depends on it.
int first_layer_wgrad_splits(const ConvShape& shape);

/// Queue the work and return true, or return false where is_first_layer is.
bool first_layer_fprop(const CudaContext& context, const ConvForward& call, Rectifier activation);
bool first_layer_wgrad(const CudaContext& context, const ConvWgrad& call);

}  // namespace convoy
