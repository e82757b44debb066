// The last step of ConvStatistics: from moments of 64 pixels each to those of batch normalisation's groups.
#pragma once

#include "kernels/fused.h"

namespace convoy {

class CudaContext;

/// `moments` (moment_groups, 2, K) as an Epilogue leaves them; for n > 0.
void finish_statistics(const CudaContext& context, const ConvStatistics& call, const float* moments);

}  // namespace convoy
