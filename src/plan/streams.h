// Streams: which calls of a step may run side by side. The gradients of parameters are needed only when they
// are summed over ranks or by the optimizer, metrics and reports only by the host; the calls that make them
// leave the main stream to the chain of gradients of activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "src/plan/plan.h"

namespace convoy {

enum class StreamRole : std::uint8_t { main, side };

/// Side for calls that write gradients of parameters, metrics or reports and nothing else.
StreamRole stream_role(const Call& call);

/// What an engine with two streams needs to know of a step.
struct StreamSlot {
  StreamRole role = StreamRole::main;
  /// The last step of the other stream that must be done before; those before it in that stream then are,
  /// too.
  std::optional<std::size_t> waits_for;
};

/// One slot per step of a placed plan: two calls of which one writes what the other reads or writes run in
/// the plan's order. Scratch is not looked at: each stream has its own (Arena::workspace,
/// Arena::side_workspace).
std::vector<StreamSlot> schedule_streams(const Plan& plan);

}  // namespace convoy
