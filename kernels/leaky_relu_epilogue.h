// The activations that can ride along with another kernel: piecewise linear ones, whose derivative follows
// from their output.
#pragma once

#include "core/host_device.h"

namespace convoy {

/// f(x) = x above zero, slope · x below: relu for slope 0, leaky_relu, the identity for slope 1. The same
/// bits as ActivationForward and ActivationBackward: a NaN passes through f, and relu(-inf) is 0.
struct LeakyReluEpilogue {
  float slope = 1.0f;

  CONVOY_HOST_DEVICE bool is_identity() const { return slope == 1.0f; }
  CONVOY_HOST_DEVICE float f(float x) const { return x <= 0.0f ? below(x) : x; }
  CONVOY_HOST_DEVICE float gradient(float y, float dy) const { return pass(y > 0.0f, dy); }
  /// The gradient where it is known whether y is above zero.
  CONVOY_HOST_DEVICE float pass(bool above, float dy) const { return above ? dy : below(dy); }

 private:
  CONVOY_HOST_DEVICE float below(float value) const { return slope == 0.0f ? 0.0f : slope * value; }
};

}  // namespace convoy
