// From a call of a plan to an engine's launcher. Which fused calls an engine has, the compiler finds out.
#pragma once

#include <variant>

#include "src/plan/plan.h"

namespace convoy {

namespace detail {
template <class Context, class C>
concept Launches = requires(const Context& context, const C& call) {
  launch(context, call);
};
template <class C, class... Ts>
constexpr bool is_one_of(TypeList<Ts...>) {
  return (std::is_same_v<C, Ts> || ...);
}
}  // namespace detail

/// Whether the engine behind `Context` has a launcher for the call.
template <class Context>
bool has_launcher(const Call& call) {
  return std::visit([]<class C>(const C&) { return detail::Launches<Context, C>; }, call);
}

/// Queues the call. A plain call without a launcher does not compile; a fused one is an internal error, as
/// the fusion pass asks Engine::has first.
template <class Context>
void launch_call(const Context& context, const Call& call) {
  std::visit(
      [&]<class C>(const C& c) {
        if constexpr (detail::Launches<Context, C> || !detail::is_one_of<C>(FusedCalls{})) {
          launch(context, c);
        } else {
          fail("internal error: this engine has no {}, but its plan does", C::name);
        }
      },
      call);
}

}  // namespace convoy
