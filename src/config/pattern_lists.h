// The lists of patterns of parameters' names: train.freeze and optimizer.groups.
#pragma once

#include <vector>

#include "src/config/schema.h"

namespace convoy {

/// `[layer1, "bn*", {match: layer2, epochs: 3}]`
Codec<std::vector<FreezeConfig>> freeze_list();
/// `[{match: fc, lr: x10, weight_decay: 0}]`
Codec<std::vector<GroupConfig>> group_list();

}  // namespace convoy
