// Which training images an epoch shows, and in what order.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/dataset.h"

namespace convoy {

/// `ids` in the order of one epoch: a Fisher-Yates shuffle keyed by (seed, epoch).
std::vector<std::int32_t> epoch_order(std::vector<std::int32_t> ids, std::uint64_t seed, int epoch);

/// As many images in the order of one epoch such that each class has the same number of places, to within
/// one; in the epochs so far together, too. A class gives its images in an endless sequence, all of them
/// shuffled and then all of them shuffled anew, of which each epoch takes the next part: a small class comes
/// several times in an epoch, a large one shows the rest in the epochs that follow. Classes without images
/// have no place. It depends on (seed, epoch) alone, like epoch_order.
std::vector<std::int32_t> balanced_order(const Dataset& data, std::uint64_t seed, int epoch);

/// One of the two, as data.balance says.
inline std::vector<std::int32_t> training_order(const Dataset& data, bool balance, std::uint64_t seed,
                                                int epoch) {
  return balance ? balanced_order(data, seed, epoch) : epoch_order(data.train, seed, epoch);
}

}  // namespace convoy
