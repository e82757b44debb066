// The sum of two blocks of gradients, which passes or ranks have left.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/elementwise.h"

namespace convoy {

/// y = a + b; y may be a or b. An Add that no pass over a plan takes for one of the network's.
struct Fold {
  static constexpr const char* name = "fold";
  Tensor a, b, y;
  std::int64_t flops() const { return y.count; }
  std::string describe() const { return fmt::format("count={}", y.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.a), v.reads(call.b), v.writes(call.y);
  }
};

template <class Context>
void launch(const Context& context, const Fold& fold) {
  launch(context, Add{fold.a, fold.b, fold.y});
}

}  // namespace convoy
