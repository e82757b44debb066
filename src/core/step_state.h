// All that differs from one replay of a plan to the next.
#pragma once

#include <cstdint>

namespace convoy {

/// Places for staged batches in the engine's memory: a step reads one while the next batch fills the other.
constexpr int staging_slots = 2;

struct StepState {
  std::uint64_t seed = 0;
  std::int64_t step = 0;   ///< optimizer steps done before this one; keys dropout
  std::int64_t first = 0;  ///< where in Arena::order the global batch begins
  std::int32_t epoch = 0;  ///< keys the augmentation
  std::int32_t slot = 0;   ///< which staged batch to read when the data set is not resident
  float learning_rate = 0.0f;
};

}  // namespace convoy
