// Adam (Kingma & Ba, 2015) and, with decoupled weight decay, AdamW (Loshchilov & Hutter, 2019):
//
//   adam: g += decay w;  adamw: w -= lr decay w
//   mean = beta1 mean + (1 - beta1) g;  variance = beta2 variance + (1 - beta2) g^2
//   w -= lr (mean / (1 - beta1^t)) / (sqrt(variance / (1 - beta2^t)) + epsilon)
//
// t counts the steps done, this one included and skipped ones not.
#pragma once

#include <array>
#include <cmath>

#include "kernels/optimizers/rule.h"

namespace convoy {

struct Adam {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  bool decoupled = false;

  static constexpr std::array names{"adam", "adamw"};
  static constexpr std::array moments{"mean", "variance"};
  static constexpr int flops = 14;
  const char* name() const { return names[decoupled ? 1 : 0]; }
  static std::array<Adam, 2> variants() { return {Adam{}, Adam{.decoupled = true}}; }

  bool operator==(const Adam&) const = default;

  template <class At, class T>
  CONVOY_HOST_DEVICE void update(const At& at, T decay, T& w, T g, T& mean, T& variance) const {
    if (decoupled) {
      w -= at.rate * decay * w;
    } else {
      g += decay * w;
    }
    mean = multiply_add<T>(beta1, mean, (T(1) - beta1) * g);
    variance = multiply_add<T>(beta2, variance, (T(1) - beta2) * g * g);
    w -= at.step(mean) / (at.root(variance) + epsilon);
  }

  // The corrections of step t: step() is lr times the corrected mean, root() the corrected variance's root.
  // Each engine has its own way to round them.

  /// As the paper writes them.
  template <class T>
  struct Reference {
    T rate, correction1, correction2;
    T step(T mean) const { return rate * (mean / correction1); }
    T root(T variance) const { return std::sqrt(variance / correction2); }
  };
  template <class T>
  Reference<T> reference(T rate, double t) const {
    return {rate, static_cast<T>(1 - power(beta1, t)), static_cast<T>(1 - power(beta2, t))};
  }

  /// The fewest operations per parameter.
  struct Cpu {
    float rate, scaled_rate, inverse_root;
    float step(float mean) const { return scaled_rate * mean; }
    float root(float variance) const { return std::sqrt(variance) * inverse_root; }
  };
  Cpu cpu(float rate, double t) const {
    const auto correction1 = static_cast<float>(1 - power(beta1, t));
    const auto correction2 = static_cast<float>(1 - power(beta2, t));
    return {rate, rate / correction1, 1.0f / std::sqrt(correction2)};
  }

  /// Every thread computes them: 1 - beta^t is -expm1(t log beta).
  struct OnDevice;
  inline OnDevice on_device() const;

 private:
  static double power(float beta, double t) { return std::pow(static_cast<double>(beta), t); }
};

struct Adam::OnDevice : Adam {
  float log_beta1, log_beta2;

  struct Corrections {
    float rate, inverse1, inverse2;
    CONVOY_HOST_DEVICE float step(float mean) const { return rate * (mean * inverse1); }
    CONVOY_HOST_DEVICE float root(float variance) const { return sqrtf(variance * inverse2); }
  };
  CONVOY_HOST_DEVICE Corrections at(float rate, float t) const {
    return {rate, 1.0f / -expm1f(t * log_beta1), 1.0f / -expm1f(t * log_beta2)};
  }
};

inline Adam::OnDevice Adam::on_device() const {
  const auto log_of = [](float beta) { return static_cast<float>(std::log(static_cast<double>(beta))); };
  return {*this, log_of(beta1), log_of(beta2)};
}

}  // namespace convoy
