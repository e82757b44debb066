// Values of an engine's tensors as doubles, whatever real type the engine computes in.
#pragma once

#include <vector>

#include "src/engine/engine.h"

namespace convoy {

/// The values of a tensor of floats in memory order, after the work queued so far.
std::vector<double> read_values(Engine& engine, const Tensor& tensor);
/// Writes as many values as the tensor has, rounded to its type.
void write_values(Engine& engine, const Tensor& tensor, const std::vector<double>& values);

}  // namespace convoy
