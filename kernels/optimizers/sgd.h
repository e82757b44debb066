// Stochastic gradient descent with momentum (Sutskever et al., 2013, in PyTorch's form):
// g' = g + decay w;  v = momentum v + g';  w -= lr (nesterov ? g' + momentum v : v)
#pragma once

#include <array>

#include "kernels/optimizers/rule.h"

namespace convoy {

struct Sgd {
  float momentum = 0;
  bool nesterov = false;

  static constexpr std::array names{"sgd"};
  static constexpr std::array moments{"velocity"};
  static constexpr int flops = 6;
  bool keeps_last_moment() const { return momentum > 0; }

  bool operator==(const Sgd&) const = default;

  /// Without momentum.
  template <class At, class T>
  CONVOY_HOST_DEVICE void update(const At& at, T decay, T& w, T g) const {
    w -= at.rate * (g + decay * w);
  }
  template <class At, class T>
  CONVOY_HOST_DEVICE void update(const At& at, T decay, T& w, T g, T& velocity) const {
    const T step = g + decay * w;
    velocity = momentum * velocity + step;
    w -= at.rate * (nesterov ? step + momentum * velocity : velocity);
  }
};

}  // namespace convoy
