// What follows for the calls of a plan from the facts of a GPU. Plain C++.
#pragma once

#include <optional>

#include "kernels/conv/cuda/choice.h"
#include "src/engine/plan_target.h"

namespace convoy {

/// The convolution of a call; nothing for other calls.
std::optional<ConvProblem> convolution_of(const Call& call);

bool gpu_computes_in(Precision precision, bool tensor_core_code);
KernelChoice gpu_kernels_of(const Call& call, const ConvDevice& device, const TileChoices* measured);

}  // namespace convoy
