// One call of a step as a plan of its own, on random tensors.
#pragma once

#include <string>
#include <vector>

#include "src/engine/engine.h"

namespace convoy {

/// The plan that makes this call alone: its tensors, which another plan may have placed, apart from one
/// another in Arena::activations.
Plan plan_of_call(Call call, const std::string& node, const Engine& engine);

/// Fills every floating-point tensor of the plan with values in [-1, 1) and every integer one with zeros,
/// which are valid as labels, positions and sample numbers.
void fill_at_random(Engine& engine, const Plan& plan);

/// Seconds of `repeats` executions after a first one that does not count, of fewer where `most_seconds` are
/// over (but three).
std::vector<double> times_of(Engine& engine, int plan, int repeats, double most_seconds);

}  // namespace convoy
