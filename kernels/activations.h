// The activations, one struct each, for every engine, for YAML and for ONNX. To add one: its struct, its name
// in `Activation` and its type in `Activations`.
//
// A struct has
//   kind, name, help    what it is called here and in YAML, and a line of help
//   onnx                the same formula in operators of ONNX (src/export/onnx_expression.h)
//   needs_input         whether gradient() is computed from x rather than from y
//   f(x)                y
//   gradient(saved, dy) dy f'(x), where `saved` is x or y as needs_input says
// and, where it has one, its parameter.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/error.h"
#include "core/host_device.h"
#include "core/type_list.h"

namespace convoy {

enum class Activation : std::uint8_t {
  relu,
  leaky_relu,
  gelu,
  tanh,
  sigmoid,
  silu,
  relu6,
  hardswish,
  hardsigmoid,
  elu,
};

/// Of an activation, in [least, limit); `name` is its key in YAML.
struct ActivationParameter {
  const char *name, *help;
  float initial, least, limit;
};

/// The derivative at 0 is 0.
struct Relu {
  static constexpr Activation kind = Activation::relu;
  static constexpr const char *name = "relu", *help = "max(x, 0)", *onnx = "Relu(x)";
  static constexpr bool needs_input = false;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x <= 0 ? T(0) : x;  // so that a NaN passes through
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T y, T dy) const {
    return y > 0 ? dy : T(0);
  }
};

struct LeakyRelu {
  static constexpr Activation kind = Activation::leaky_relu;
  static constexpr const char *name = "leaky_relu", *help = "x, or slope x below zero",
                              *onnx = "LeakyRelu(x, alpha=parameter)";
  static constexpr ActivationParameter parameter{"slope", "slope below zero", 0.01f, 0.0f, 1.0f};
  static constexpr bool needs_input = false;
  float slope;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x > 0 ? x : static_cast<T>(slope) * x;
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T y, T dy) const {
    return y > 0 ? dy : static_cast<T>(slope) * dy;
  }
};

/// The standard normal distribution function.
CONVOY_HOST_DEVICE inline float normal_cdf(float x) {
#ifdef __CUDA_ARCH__
  return normcdff(x);
#else
  return 0.5f * (1.0f + std::erf(x * 0.70710678118654752f));
#endif
}
CONVOY_HOST_DEVICE inline double normal_cdf(double x) {
  return 0.5 * erfc(-x * 0.70710678118654752440);
}

/// The exact one, x Φ(x): Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016. Opset 18 has no Gelu.
struct Gelu {
  static constexpr Activation kind = Activation::gelu;
  static constexpr const char *name = "gelu", *help = "x times the normal distribution function",
                              *onnx = "Mul(Mul(x, Add(Erf(Mul(x, 0.70710678118654752)), 1)), 0.5)";
  static constexpr bool needs_input = true;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x * normal_cdf(x);
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T x, T dy) const {  // Φ(x) + x φ(x)
    constexpr T inv_sqrt_two_pi = static_cast<T>(0.398942280401432677940);
    return dy * (normal_cdf(x) + x * inv_sqrt_two_pi * std::exp(T(-0.5) * x * x));
  }
};

struct Tanh {
  static constexpr Activation kind = Activation::tanh;
  static constexpr const char *name = "tanh", *help = "hyperbolic tangent", *onnx = "Tanh(x)";
  static constexpr bool needs_input = false;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return std::tanh(x);
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T y, T dy) const {
    return dy * (1 - y * y);
  }
};

struct Sigmoid {
  static constexpr Activation kind = Activation::sigmoid;
  static constexpr const char *name = "sigmoid", *help = "1 / (1 + exp(-x))", *onnx = "Sigmoid(x)";
  static constexpr bool needs_input = false;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return 1 / (1 + std::exp(-x));
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T y, T dy) const {
    return dy * y * (1 - y);
  }
};

/// x σ(x): Elfwing, Uchibe & Doya, 2018; Ramachandran, Zoph & Le, "Searching for Activation Functions", 2017.
struct Silu {
  static constexpr Activation kind = Activation::silu;
  static constexpr const char *name = "silu", *help = "x sigmoid(x), also called swish",
                              *onnx = "Mul(x, Sigmoid(x))";
  static constexpr bool needs_input = true;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x / (1 + std::exp(-x));
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T x, T dy) const {  // σ(x) (1 + x (1 - σ(x)))
    const T sigmoid = 1 / (1 + std::exp(-x));
    return dy * sigmoid * (1 + x * (1 - sigmoid));
  }
};

/// The derivative at 0 and at 6 is 0.
struct Relu6 {
  static constexpr Activation kind = Activation::relu6;
  static constexpr const char *name = "relu6", *help = "min(max(x, 0), 6)", *onnx = "Clip(x, 0, 6)";
  static constexpr bool needs_input = false;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x <= 0 ? T(0) : x >= 6 ? T(6) : x;  // so that a NaN passes through
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T y, T dy) const {
    return y > 0 && y < 6 ? dy : T(0);
  }
};

/// x min(max(x + 3, 0), 6) / 6: Howard et al., "Searching for MobileNetV3", 2019.
struct Hardswish {
  static constexpr Activation kind = Activation::hardswish;
  static constexpr const char *name = "hardswish", *help = "x relu6(x + 3) / 6", *onnx = "HardSwish(x)";
  static constexpr bool needs_input = true;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x <= -3 ? T(0) : x >= 3 ? x : x * (x + 3) / 6;
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T x, T dy) const {
    return x <= -3 ? T(0) : x >= 3 ? dy : dy * (2 * x + 3) / 6;
  }
};

/// Needs its input: near 1 an output of 16 bits is rounded to 1, where the derivative is 0.
struct Hardsigmoid {
  static constexpr Activation kind = Activation::hardsigmoid;
  static constexpr const char *name = "hardsigmoid", *help = "relu6(x + 3) / 6",
                              *onnx = "HardSigmoid(x, alpha=0.16666667, beta=0.5)";
  static constexpr bool needs_input = true;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x <= -3 ? T(0) : x >= 3 ? T(1) : (x + 3) / 6;
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T x, T dy) const {
    return x > -3 && x < 3 ? dy / 6 : T(0);
  }
};

/// Clevert, Unterthiner & Hochreiter, 2015.
struct Elu {
  static constexpr Activation kind = Activation::elu;
  static constexpr const char *name = "elu", *help = "x, or alpha (exp(x) - 1) below zero",
                              *onnx = "Elu(x, alpha=parameter)";
  static constexpr ActivationParameter parameter{"alpha", "minus the limit far below zero", 1.0f, 0.0f,
                                                 1000.0f};
  static constexpr bool needs_input = false;
  float alpha;
  template <class T>
  CONVOY_HOST_DEVICE T f(T x) const {
    return x > 0 ? x : static_cast<T>(alpha) * std::expm1(x);
  }
  template <class T>
  CONVOY_HOST_DEVICE T gradient(T y, T dy) const {
    return y > 0 ? dy : dy * (y + static_cast<T>(alpha));
  }
};

/// All of them: the order is that of help and messages.
using Activations = TypeList<Relu, LeakyRelu, Gelu, Tanh, Sigmoid, Silu, Relu6, Hardswish, Hardsigmoid, Elu>;

/// Calls function(activation) with the struct of `kind`, which has this parameter where it has one.
template <class Function>
void with_activation(Activation kind, float parameter, Function function) {
  bool found = false;
  for_each_type(Activations{}, [&]<class A>() {
    if (A::kind != kind) return;
    found = true;
    if constexpr (requires { A::parameter; })
      function(A{parameter});
    else
      function(A{});
  });
  check(found, "internal error: an activation that the list lacks");
}

inline const char* name_of(Activation kind) {
  const char* name = nullptr;
  with_activation(kind, 0.0f, [&]<class A>(A) { name = A::name; });
  return name;
}
/// Whether the backward formula needs the input x; the others need their output y.
inline bool backward_needs_input(Activation kind) {
  bool needs = false;
  with_activation(kind, 0.0f, [&]<class A>(A) { needs = A::needs_input; });
  return needs;
}

}  // namespace convoy
