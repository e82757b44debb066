// The random numbers of a sample that a data set draws.
#pragma once

#include <cstdint>
#include <numbers>

#include "core/random.h"

namespace convoy {

/// The random numbers of one sample, in the order in which they are asked for.
class Draws {
 public:
  Draws(Purpose purpose, std::uint64_t seed, std::uint64_t sample)
      : purpose_(purpose), seed_(seed), sample_(sample) {}
  Random4 words() { return random4(seed_, purpose_, next_++, sample_); }
  float between(float low, float high) { return low + (high - low) * uniform01(words().v[0]); }
  /// Bell-shaped around `mean`, within mean ± 3.5 deviation: the sum of four uniforms has deviation
  /// 1/sqrt(3).
  float around(float mean, float deviation) {
    const Random4 r = words();
    const float sum = uniform01(r.v[0]) + uniform01(r.v[1]) + uniform01(r.v[2]) + uniform01(r.v[3]);
    return mean + deviation * std::numbers::sqrt3_v<float> * (sum - 2);
  }

 private:
  Purpose purpose_;
  std::uint64_t seed_, sample_;
  std::uint32_t next_ = 0;
};

}  // namespace convoy
