// Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023), with decoupled weight decay:
// w -= lr (sign(beta1 momentum + (1 - beta1) g) + decay w);  momentum = beta2 momentum + (1 - beta2) g
#pragma once

#include <array>

#include "kernels/optimizers/rule.h"

namespace convoy {

struct Lion {
  float beta1 = 0.9f, beta2 = 0.99f;

  static constexpr std::array names{"lion"};
  static constexpr std::array moments{"momentum"};
  static constexpr int flops = 10;

  bool operator==(const Lion&) const = default;

  template <class At, class T>
  CONVOY_HOST_DEVICE void update(const At& at, T decay, T& w, T g, T& momentum) const {
    const T direction = multiply_add<T>(beta1, momentum, (T(1) - beta1) * g);
    const T sign = direction > 0 ? T(1) : direction < 0 ? T(-1) : direction;  // NaN stays NaN
    w -= at.rate * (sign + decay * w);
    momentum = multiply_add<T>(beta2, momentum, (T(1) - beta2) * g);
  }
};

}  // namespace convoy
