// The collectives of a plan as calls, and their launcher, the same for every engine.
#pragma once

#include <fmt/format.h>

#include <string>

#include "comm/communicator.h"
#include "core/tensor.h"

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

/// Slice r of `to`, one per rank, = rank r's slice of `from` that has this rank's number; after the next
/// Join.
struct ExchangeSlices {
  static constexpr const char* name = "exchange_slices";
  Tensor from, to;
  std::int64_t flops() const { return 0; }
  std::string describe() const { return fmt::format("count={} {}", from.count, name_of(from.dtype)); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.from), v.writes(call.to);
  }
};

/// Every rank gets every rank's own slice of `values`, after the next Join.
struct GatherSlices {
  static constexpr const char* name = "gather_slices";
  Tensor values;
  std::int64_t flops() const { return 0; }
  std::string describe() const { return fmt::format("count={} {}", values.count, name_of(values.dtype)); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.updates(call.values);
  }
};

/// Calls after this one see the results of all calls of these kinds before it.
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
void launch(const Context& context, const ExchangeSlices& call) {
  Communicator& communicator = context.communicator();
  communicator.exchange_slices_async(context.arenas.raw(call.from), context.arenas.raw(call.to),
                                     call.from.count / communicator.size(), call.from.dtype);
}
template <class Context>
void launch(const Context& context, const GatherSlices& call) {
  Communicator& communicator = context.communicator();
  communicator.gather_slices_async(context.arenas.raw(call.values), call.values.count / communicator.size(),
                                   call.values.dtype);
}
template <class Context>
void launch(const Context& context, const Join&) {
  context.communicator().join();
}

}  // namespace convoy
