// The keys of train.loss and train.class_weights.
#pragma once

#include "src/config/codec.h"
#include "src/config/config.h"

namespace convoy {

Codec<LossConfig> loss_codec();
Codec<ClassWeights> class_weights_codec();

}  // namespace convoy
