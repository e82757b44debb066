// Grouped convolutions as products of matrices, several groups to a product.
#pragma once

#include "kernels/conv/cuda/choice.h"
#include "kernels/conv/epilogue.h"

namespace convoy {

class CudaContext;

/// Do what `choice`, one of the grouped families, says; for problems that are not empty. `workspace` has
/// conv_workspace_bytes(). The epilogue's moments are not taken.
void grouped_fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue,
                   const ConvChoice& choice, void* workspace);
void grouped_dgrad(const CudaContext& context, const ConvDgrad& call, const ConvChoice& choice,
                   void* workspace);
void grouped_wgrad(const CudaContext& context, const ConvWgrad& call, const ConvChoice& choice,
                   void* workspace);

}  // namespace convoy
