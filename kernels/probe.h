// Calls that do nothing useful as fast as the device can: what benchmarks measure shares of.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// What a multiply-add works on; sums are in the wide type throughout.
enum class Arithmetic : std::uint8_t { full, tf32, half };
/// Products of tensors of `type`. Both 16-bit formats run at one speed on every device that has both.
constexpr Arithmetic arithmetic_of(DType type, Math math) {
  if (size_of(type) == 2) return Arithmetic::half;
  return math == Math::tf32 ? Arithmetic::tf32 : Arithmetic::full;
}
constexpr const char* name_of(Arithmetic arithmetic) {
  constexpr const char* names[] = {"full", "tf32", "half"};
  return names[static_cast<int>(arithmetic)];
}

/// `chains` (a multiple of multiply_add_chains) independent sums of `length` (a multiple of
/// multiply_add_length) products each, from registers or, on the CPU, the first-level cache. Host engines
/// compute in full. Writes something to `out` (1), so that a compiler cannot leave the work out.
struct MultiplyAdd {
  static constexpr const char* name = "probe.multiply_add";
  Arithmetic arithmetic = Arithmetic::full;
  std::int64_t chains = 0;
  int length = 0;
  Tensor out;
  std::int64_t flops() const { return 2 * chains * length; }
  std::string describe() const {
    return fmt::format("{} {} chains of {}", name_of(arithmetic), chains, length);
  }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.writes(call.out);
  }
};
constexpr std::int64_t multiply_add_chains =
    8192;  ///< a block of eight warps with eight tiles of 16 × 8 each
constexpr int multiply_add_length = 128;

/// to = from, bytes.
struct Copy {
  static constexpr const char* name = "probe.copy";
  Tensor from, to;
  std::int64_t flops() const { return 0; }
  std::string describe() const { return fmt::format("bytes={}", to.bytes()); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.from), v.writes(call.to);
  }
};

CONVOY_LAUNCHERS(MultiplyAdd);
CONVOY_LAUNCHERS(Copy);

}  // namespace convoy
