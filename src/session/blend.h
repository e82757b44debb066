// What mixup and cutmix draw for a step.
#pragma once

#include "core/shape.h"
#include "core/step_state.h"
#include "src/config/config.h"

namespace convoy {

/// The blend of the batch that begins at state.first in the order of state.epoch, for images (D,H,W,C); of
/// seed, epoch and place alone. With lambda ~ Beta(alpha, alpha), one per step as in both papers' programs,
/// - mixup blends all pixels, own = lambda: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk
///   Minimization", ICLR 2018;
/// - cutmix takes a box from the partner: sides sqrt(1 - lambda) of the image's around a uniform centre, cut
///   at the edges, and labels weigh as the pixels do: Yun et al., "CutMix: Regularization Strategy to Train
///   Strong Classifiers with Localizable Features", ICCV 2019.
/// With both, half of the steps do one and half the other.
Blend draw_blend(const DataConfig& data, const FeatureShape& image, const StepState& state);

/// Beta(alpha, alpha) from counter-based numbers by Jöhnk's method (Metrika 8, 1964). A try rarely succeeds
/// where alpha is large, so alpha should be small.
double draw_beta(double alpha, std::uint64_t seed, std::uint32_t stream, std::uint64_t index);

}  // namespace convoy
