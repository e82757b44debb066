// The collectives of a plan as calls, and their launchers, which are the same for every engine.
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

/// Queues a collective. `arenas` are those of the engine that the communicator belongs to.
inline void launch(Communicator& communicator, const ArenaPointers& arenas, const AllReduce& call) {
  communicator.all_reduce_sum_async(arenas.raw(call.values), call.values.count, call.values.dtype);
}
inline void launch(Communicator& communicator, const ArenaPointers& arenas, const ExchangeSlices& call) {
  communicator.exchange_slices_async(arenas.raw(call.from), arenas.raw(call.to),
                                     call.from.count / communicator.size(), call.from.dtype);
}
inline void launch(Communicator& communicator, const ArenaPointers& arenas, const GatherSlices& call) {
  communicator.gather_slices_async(arenas.raw(call.values), call.values.count / communicator.size(),
                                   call.values.dtype);
}
inline void launch(Communicator& communicator, const ArenaPointers&, const Join&) {
  communicator.join();
}

}  // namespace convoy
