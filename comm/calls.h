// The collectives of a plan as calls, and their launcher, the same for every engine.
#pragma once

#include <fmt/format.h>

#include <string>

#include "comm/communicator.h"
#include "src/core/tensor.h"

namespace convoy {

/// values = their sum over ranks, valid after the next Join.
struct AllReduce {
  static constexpr const char* name = "all_reduce";
  Tensor values;
  std::int64_t flops() const { return 0; }
  std::string describe() const { return fmt::format("count={} {}", values.count, name_of(values.dtype)); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.updates(call.values);
  }
};

/// Calls after this one see the sums of all AllReduce calls before it.
struct Join {
  static constexpr const char* name = "join";
  std::int64_t flops() const { return 0; }
  std::string describe() const { return {}; }
  template <class Self, class Visitor>
  static void visit(Self&, Visitor&&) {}
};

template <class Context>
void launch(const Context& context, const AllReduce& call) {
  context.communicator().all_reduce_sum_async(context.arenas.raw(call.values), call.values.count,
                                              call.values.dtype);
}
template <class Context>
void launch(const Context& context, const Join&) {
  context.communicator().join();
}

}  // namespace convoy
