// Fusion: pairs and triples of calls become one, so that what they hand each other never meets memory.
#pragma once

#include <functional>
#include <vector>

#include "src/plan/plan.h"

namespace convoy {

/// Which calls an engine has (Engine::has).
using EngineHas = std::function<bool(const Call&)>;

/// Rewrites one place of the plan where the rule applies and returns true, or returns false. A rule holds on
/// to the tensors' readers: what a call leaves for anyone else is never taken away.
using FusionRule = bool (*)(Plan& plan, const EngineHas& has);

/// a convolution and the sums that batch normalisation takes of its result
bool fuse_statistics_into_convolution(Plan& plan, const EngineHas& has);
/// then the moments, where no other rank adds to the sums
bool fuse_moments_into_statistics(Plan& plan, const EngineHas& has);
/// convolution or linear layer, then relu or leaky_relu
bool fuse_activation_into_product(Plan& plan, const EngineHas& has);
/// batch normalisation, (the sum with a shortcut,) relu or leaky_relu
bool fuse_activation_into_batchnorm(Plan& plan, const EngineHas& has);
/// the gradients of relu (or leaky_relu) and of the max pooling behind it
bool fuse_activation_into_maxpool_backward(Plan& plan, const EngineHas& has);
/// the sum that is a bias gradient, where its terms are computed
bool fuse_bias_gradient(Plan& plan, const EngineHas& has);
/// the gradients of relu (or leaky_relu) and of the batch normalisation before it
bool fuse_activation_into_batchnorm_backward(Plan& plan, const EngineHas& has);

/// the sum of two branches' gradients before that
bool fuse_sum_into_batchnorm_backward(Plan& plan, const EngineHas& has);

/// All of them, in an order in which each finds what those before it left.
std::vector<FusionRule> fusion_rules();

/// Applies the rules, one after the other, wherever they fit and the engine has the call. Needs unplaced
/// tensors, each written once; goes before insert_all_reduces, which looks for the last call that writes a
/// gradient.
Plan fuse(Plan plan, const EngineHas& has, const std::vector<FusionRule>& rules = fusion_rules());

}  // namespace convoy
