// `convoy bench losses`: the losses of a run's first steps, with all that leads to them, for another trainer
// to repeat.
#pragma once

#include "comm/rank_environment.h"
#include "src/config/config.h"
#include "src/io/safetensors.h"

namespace convoy {

/// The first `steps` training steps as file contents: the initial weights under PyTorch's names and in its
/// order; curve.images (samples,D,H,W,C) u8 and curve.labels (samples) i32; and of each step curve.order
/// (steps,batch) i32, the samples in it, curve.learning_rates and curve.losses (steps) f32, its mean loss
/// over the global batch. Collective. Throws AgreedError (exit code 2) for what only Convoy's random numbers
/// can repeat, augmentation and dropout, and for a data set smaller than a batch.
TensorFile record_losses(const Config& config, const RankEnvironment& ranks, int steps);

}  // namespace convoy
