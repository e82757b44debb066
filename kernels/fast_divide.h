// Division by a number fixed before the launch, as one multiplication and a shift.
//
// Granlund & Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994.
#pragma once

#include <cstdint>

#include "core/ceil_div.h"
#include "core/host_device.h"

namespace convoy {

/// n / divisor and n % divisor for 0 <= n < 2^31 and 1 <= divisor < 2^31.
class FastDivide {
 public:
  FastDivide() = default;
  explicit FastDivide(std::uint32_t divisor) : divisor_(divisor) {
    // With 2^(s-1) < divisor <= 2^s, m = ceil(2^(31+s) / divisor) fits in 32 bits and overshoots by less than
    // 2^s / divisor, too little to reach the next quotient while n < 2^31.
    while ((std::uint64_t{1} << (shift_ - 31)) < divisor) ++shift_;
    multiplier_ = static_cast<std::uint32_t>(ceil_div(std::uint64_t{1} << shift_, divisor));
  }
  CONVOY_HOST_DEVICE std::uint32_t divisor() const { return divisor_; }
  CONVOY_HOST_DEVICE std::uint32_t quotient(std::uint32_t n) const {
    return static_cast<std::uint32_t>((std::uint64_t{n} * multiplier_) >> shift_);
  }
  /// Divides n and returns the remainder.
  CONVOY_HOST_DEVICE std::uint32_t divide(std::uint32_t& n) const {
    const std::uint32_t q = quotient(n), r = n - q * divisor_;
    n = q;
    return r;
  }

 private:
  std::uint32_t divisor_ = 1;
  std::uint32_t multiplier_ = 1u << 31;
  std::uint32_t shift_ = 31;
};

}  // namespace convoy
