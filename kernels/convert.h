// From one floating-point type to another.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// to = from, rounded to `to`'s type, to nearest and ties to even. One of them has the engine's real type,
/// the other 16 bits.
struct Convert {
  static constexpr const char* name = "convert";
  Tensor from, to;
  std::int64_t flops() const { return to.count; }
  std::string describe() const {
    return fmt::format("count={} {} to {}", to.count, name_of(from.dtype), name_of(to.dtype));
  }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.from), v.writes(call.to);
  }
};

/// Calls function(a value of the call's 16-bit type), for engines that compute in `real`.
template <class Function>
void with_stored_type(const Convert& call, DType real, Function function) {
  const DType stored = call.from.dtype == real ? call.to.dtype : call.from.dtype;
  check(stored == DType::f16 || stored == DType::bf16, "a conversion between other types than it knows");
  if (stored == DType::f16) return function(Half{});
  function(BFloat16{});
}

CONVOY_LAUNCHERS(Convert);

}  // namespace convoy
