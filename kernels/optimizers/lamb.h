// LAMB (You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020), in
// the form of timm's Lamb, whose trust ratio has no upper limit:
//
//   mean = beta1 mean + (1 - beta1) g;  variance = beta2 variance + (1 - beta2) g^2
//   u = (mean / (1 - beta1^t)) / (sqrt(variance / (1 - beta2^t)) + epsilon) + decay w
//   w -= lr trust u,  trust = |w| / |u|, 2-norms over the parameter (kernels/trust_ratios.h)
//
// t counts the steps done, this one included and skipped ones not.
#pragma once

#include <array>
#include <cmath>

#include "kernels/optimizers/rule.h"

namespace convoy {

struct Lamb {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-6f;

  static constexpr std::array names{"lamb"};
  static constexpr std::array moments{"mean", "variance"};
  static constexpr int flops = 15;
  static constexpr bool layer_wise = true;

  bool operator==(const Lamb&) const = default;

  /// u, after which the moments are those of this step.
  template <class At, class T>
  CONVOY_HOST_DEVICE T direction(const At& at, T decay, T w, T g, T& mean, T& variance) const {
    mean = multiply_add<T>(beta1, mean, (T(1) - beta1) * g);
    variance = multiply_add<T>(beta2, variance, (T(1) - beta2) * g * g);
    return mean * at.inverse1 / (std::sqrt(variance * at.inverse2) + epsilon) + decay * w;
  }
  /// at.rate has the trust ratio in it.
  template <class At, class T>
  CONVOY_HOST_DEVICE void update(const At& at, T decay, T& w, T g, T& mean, T& variance) const {
    w -= at.rate * direction(at, decay, w, g, mean, variance);
  }

  /// Step t: what corrects the moments for having begun at 0.
  template <class T>
  struct AtStep {
    T rate, inverse1, inverse2;
  };
  template <class T>
  AtStep<T> reference(T rate, double t) const {
    const auto inverse = [&](float beta) {
      return static_cast<T>(1 / (1 - std::pow(static_cast<double>(beta), t)));
    };
    return {rate, inverse(beta1), inverse(beta2)};
  }

  /// Every thread computes them: 1 - beta^t is -expm1(t log beta).
  struct OnDevice;
  inline OnDevice on_device() const;
};

struct Lamb::OnDevice : Lamb {
  float log_beta1, log_beta2;

  CONVOY_HOST_DEVICE AtStep<float> at(float rate, float t) const {
    return {rate, 1.0f / -expm1f(t * log_beta1), 1.0f / -expm1f(t * log_beta2)};
  }
};

inline Lamb::OnDevice Lamb::on_device() const {
  const auto log_of = [](float beta) { return static_cast<float>(std::log(static_cast<double>(beta))); };
  return {*this, log_of(beta1), log_of(beta2)};
}

}  // namespace convoy
