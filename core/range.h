// Consecutive positions, and how ranks share them.
#pragma once

#include <algorithm>

#include "core/error.h"

namespace convoy {

/// Positions [first, first + count).
struct Range {
  int first = 0, count = 0;
  bool operator==(const Range&) const = default;
};

/// A rank's part of a batch of `n` images: contiguous, sizes differ by at most one, the first ranks hold the
/// larger ones.
using Shard = Range;
inline Shard shard_of(int n, int rank, int ranks) {
  check(n >= 0 && ranks > 0 && rank >= 0 && rank < ranks, "shard of a rank that does not exist");
  const int share = n / ranks, larger = n % ranks;  // the first `larger` ranks take one more
  return {rank * share + std::min(rank, larger), share + (rank < larger ? 1 : 0)};
}

}  // namespace convoy
