// What a GPU does with the calls of a plan, as far as it follows from facts of the device. Plain C++.
#pragma once

#include <optional>

#include "kernels/conv/cuda/choice.h"
#include "src/engine/plan_target.h"

namespace convoy {

/// Nothing for a call that is no convolution.
std::optional<ConvProblem> convolution_of(const Call& call);

bool gpu_computes_in(Precision precision, bool tensor_core_code);
KernelChoice gpu_kernels_of(const Call& call, const ConvDevice& device, const TileChoices* measured);

}  // namespace convoy
