// RMSprop (Tieleman & Hinton, 2012, in PyTorch's form):
//
//   g += decay w;  or, decoupled: w -= lr decay w
//   mean_square = alpha mean_square + (1 - alpha) g^2
//   velocity = momentum velocity + g / (sqrt(mean_square) + epsilon);  w -= lr velocity
//
// and in TensorFlow's, with which MobileNet and EfficientNet were trained (timm's RMSpropTF): epsilon is
// inside the root, the mean square begins at 1, and the velocity has the learning rates of its steps in it:
//
//   velocity = momentum velocity + lr g / sqrt(mean_square + epsilon);  w -= velocity
//
// A mean that begins at 1 is one that begins at 0, as moments do, plus alpha^t after t steps.
#pragma once

#include <array>
#include <cmath>

#include "kernels/optimizers/rule.h"

namespace convoy {

struct RmsProp {
  float alpha = 0.99f, epsilon = 1e-8f, momentum = 0;
  bool decoupled_decay = false;
  bool epsilon_inside = false;  ///< TensorFlow's form

  static constexpr std::array names{"rmsprop"};
  static constexpr std::array moments{"mean_square", "velocity"};
  static constexpr int flops = 13;
  bool keeps_last_moment() const { return momentum > 0; }

  bool operator==(const RmsProp&) const = default;

  /// Without momentum.
  template <class At, class T>
  CONVOY_HOST_DEVICE void update(const At& at, T decay, T& w, T g, T& mean_square) const {
    w -= at.rate * normalized(at, decay, w, g, mean_square);
  }
  template <class At, class T>
  CONVOY_HOST_DEVICE void update(const At& at, T decay, T& w, T g, T& mean_square, T& velocity) const {
    const T step = normalized(at, decay, w, g, mean_square);
    if (epsilon_inside) {
      velocity = multiply_add<T>(momentum, velocity, at.rate * step);
      w -= velocity;
    } else {
      velocity = multiply_add<T>(momentum, velocity, step);
      w -= at.rate * velocity;
    }
  }

  /// Step t: `initial` is what its initial 1 still adds to the mean square.
  template <class T>
  struct AtStep {
    T rate, initial;
  };
  template <class T>
  AtStep<T> reference(T rate, double t) const {
    return {rate, epsilon_inside ? static_cast<T>(std::pow(static_cast<double>(alpha), t)) : T(0)};
  }

  /// Every thread computes it: alpha^t is exp(t log alpha).
  struct OnDevice;
  inline OnDevice on_device() const;

 private:
  /// The gradient over the root of its mean square, both after this step's decay.
  template <class At, class T>
  CONVOY_HOST_DEVICE T normalized(const At& at, T decay, T& w, T g, T& mean_square) const {
    if (decoupled_decay) {
      w -= at.rate * decay * w;
    } else {
      g += decay * w;
    }
    mean_square = multiply_add<T>(alpha, mean_square, (T(1) - alpha) * g * g);
    if (epsilon_inside) return g / std::sqrt(mean_square + at.initial + epsilon);
    return g / (std::sqrt(mean_square) + epsilon);
  }
};

struct RmsProp::OnDevice : RmsProp {
  float log_alpha;

  CONVOY_HOST_DEVICE AtStep<float> at(float rate, float t) const {
    return {rate, epsilon_inside ? expf(t * log_alpha) : 0.0f};
  }
};

inline RmsProp::OnDevice RmsProp::on_device() const {
  return {*this, static_cast<float>(std::log(static_cast<double>(alpha)))};
}

}  // namespace convoy
