// The check of the gradients between their sum over ranks and the optimizer: are they finite, how long are
// they, and what follows. The dynamic loss scale of fp16 training (Micikevicius et al., "Mixed Precision
// Training", 2018): the loss's gradient is multiplied by a power of two, so that small gradients do not
// vanish in 16 bits, and the optimizer divides by it. A step whose gradients overflowed is skipped and halves
// the scale; after many good steps it doubles. Clipping by the norm of all gradients (Pascanu et al., 2013)
// makes them shorter on the way.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "core/host_device.h"
#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// Elements of the loss-scale tensor, all in the engine's real type.
namespace loss_scale {
enum Field : int {
  scale,          ///< what the next step's loss is multiplied by
  inverse,        ///< what the optimizer multiplies by: 1 / the scale, times what clipping asks for
  skip,           ///< 1 where they are not finite: the optimizer leaves everything as it is
  good_steps,     ///< in a row, since the scale last changed
  skipped_steps,  ///< in all
  norm,           ///< of the gradients just checked, without the scale
  fields
};
constexpr double first = 65536, largest = 1 << 24, smallest = 1;  ///< of the scale
constexpr int growth_interval = 2000;                             ///< good steps until it doubles

/// What a check does with what it finds.
struct Rules {
  bool dynamic = true;  ///< the scale moves; else it stays what it is
  bool skips = true;    ///< gradients that are not finite leave everything as it is; else they spoil it
  float clip_norm = 0;  ///< longer gradients are made this long; 0: none is too long
};

/// What a step with this sum of squares of scaled gradients does to the state.
template <class T>
CONVOY_HOST_DEVICE void advance(T* state, double sum_of_squares, Rules rules) {
  const bool finite = sum_of_squares - sum_of_squares == 0;
  const T used = state[scale];
  const double length = sqrt(sum_of_squares) / static_cast<double>(used);
  const double clip = static_cast<double>(rules.clip_norm);
  state[inverse] = T(1) / used;
  if (clip > 0 && length > clip) state[inverse] *= static_cast<T>(clip / (length + 1e-6));  // as PyTorch does
  state[skip] = finite || !rules.skips ? T(0) : T(1);
  state[norm] = static_cast<T>(length);
  if (finite && !rules.dynamic) return;
  if (!rules.dynamic) {
    state[skipped_steps] += state[skip];
  } else if (!finite) {
    state[skipped_steps] += T(1);
    state[good_steps] = T(0);
    state[scale] = used / 2 < T(smallest) ? T(smallest) : used / 2;
  } else if ((state[good_steps] += T(1)) >= T(growth_interval)) {
    state[good_steps] = T(0);
    state[scale] = used * 2 > T(largest) ? T(largest) : used * 2;
  }
}
}  // namespace loss_scale

/// One pass over the summed gradients (count): their norm, whether all are finite, and what follows for the
/// scale. Between the all-reduce and the optimizer, so that every rank comes to the same verdict.
struct CheckGradients {
  static constexpr const char* name = "check_gradients";
  Tensor gradients, loss_scale;
  loss_scale::Rules rules = {};
  std::int64_t flops() const { return 2 * gradients.count; }
  std::string describe() const {
    const std::string clip = rules.clip_norm > 0 ? fmt::format(" clip_norm={}", rules.clip_norm) : "";
    return fmt::format("count={}{}", gradients.count, clip);
  }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.gradients), v.updates(call.loss_scale);
  }
};

CONVOY_LAUNCHERS(CheckGradients);
template <>
std::int64_t workspace_bytes<CudaContext>(const CheckGradients&);  // partial sums per block

}  // namespace convoy
