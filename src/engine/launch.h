// From a call of a plan to its launcher: a kernel's takes the engine's context, a collective's its
// communicator. The compiler finds out which fused calls an engine has.
#pragma once

#include <variant>

#include "comm/communicator.h"
#include "src/plan/plan.h"

namespace convoy {

namespace detail {
template <class Context, class C>
concept Launches = requires(const Context& context, const C& call) {
  launch(context, call);
};
template <class C>
concept Collective = requires(Communicator& communicator, const ArenaPointers& arenas, const C& call) {
  launch(communicator, arenas, call);
};
template <class C, class... Ts>
constexpr bool is_one_of(TypeList<Ts...>) {
  return (std::is_same_v<C, Ts> || ...);
}
/// A plain call of a kernel without a launcher does not compile. A fused one is an internal error, since the
/// fusion pass asks Engine::has first; so is a collective, which takes launch_call().
template <class Context, class C>
void launch_kernel(const Context& context, const C& call) {
  if constexpr (Launches<Context, C> || !(is_one_of<C>(FusedCalls{}) || Collective<C>)) {
    launch(context, call);
  } else {
    fail("internal error: this engine has no {}, but its plan does", C::name);
  }
}
}  // namespace detail

/// Whether the engine behind `Context` has a launcher for the call.
template <class Context>
bool has_launcher(const Call& call) {
  return std::visit([]<class C>(const C&) { return detail::Collective<C> || detail::Launches<Context, C>; },
                    call);
}

/// Queues a call of a kernel.
template <class Context>
void launch_kernel(const Context& context, const Call& call) {
  std::visit([&](const auto& c) { detail::launch_kernel(context, c); }, call);
}

/// Queues any call of a plan.
template <class Context>
void launch_call(const Context& context, Communicator& communicator, const Call& call) {
  std::visit(
      [&]<class C>(const C& c) {
        if constexpr (detail::Collective<C>) {
          launch(communicator, context.arenas, c);
        } else {
          detail::launch_kernel(context, c);
        }
      },
      call);
}

}  // namespace convoy
