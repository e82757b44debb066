// The elementwise passes of batch normalisation: y from x, dx from dy and x. Fused calls add an activation
// and the sum with a shortcut (batchnorm_rows.cuh). batchnorm_sums.cu computes the sums that they need.
#include "kernels/batchnorm_rows.cuh"
#include "kernels/fused.h"

namespace convoy {
namespace {

using Tiling = BatchNormTiling;

/// From saved moments (groups,C).
template <class T, int V>
struct Normalize {
  const float *mean, *inv_std;
  Affine affine;
  using Constants = NormalizeConstants<T, V>;
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    return affine.constants<T, V>(load<V>(mean, group_pack), load<V>(inv_std, group_pack), pack);
  }
};
/// From running averages (C).
template <class T, int V>
struct NormalizeRunning {
  const float *mean, *var, *gamma, *beta;  // (C)
  float epsilon;
  using Constants = NormalizeConstants<T, V>;
  __device__ Constants constants(std::int64_t, std::int64_t pack) const {
    Pack<V> scale = load<V>(gamma, pack);
    const Pack<V> v = load<V>(var, pack);
#pragma unroll
    for (int c = 0; c < V; ++c) scale.v[c] /= sqrtf(v.v[c] + epsilon);
    return {load<V>(mean, pack), scale, load<V>(beta, pack)};
  }
};

/// y = f(the normalised x + residual); inputs x and, where N = 2, the residual.
template <class Norm, int N>
struct Forward {
  static constexpr int inputs = N, blocks_at_once = 4;
  Norm norm;
  LeakyReluEpilogue activation;
  using Constants = typename Norm::Constants;
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    return norm.constants(group_pack, pack);
  }
  __device__ float value(const Constants& k, int c, const float (&in)[inputs]) const {
    float y = k.value(c, in[0]);
    if constexpr (N == 2) y += in[1];
    return activation.f(y);
  }
};

/// dx = scale (g - mean(g) - x̂ mean(g x̂)).
template <class T, int V>
struct BackwardConstants {
  Pack<V> mean, inv_std, scale, mean_g, mean_g_x_hat;
  __device__ float value(int c, float g, float x) const {
    const float x_hat = (x - mean.v[c]) * inv_std.v[c];
    return scale.v[c] * (g - mean_g.v[c] - x_hat * mean_g_x_hat.v[c]);
  }
};
/// scale g + slope x + offset.
template <class T, int V>
requires multiplied_out<T>
struct BackwardConstants<T, V> {
  Pack<V> scale, slope, offset;
  __device__ BackwardConstants(const Pack<V>& mean, const Pack<V>& inv_std, const Pack<V>& by,
                               const Pack<V>& mean_g, const Pack<V>& mean_g_x_hat)
      : scale(by) {
#pragma unroll
    for (int c = 0; c < V; ++c) {
      slope.v[c] = -by.v[c] * inv_std.v[c] * mean_g_x_hat.v[c];
      offset.v[c] = -fmaf(slope.v[c], mean.v[c], by.v[c] * mean_g.v[c]);
    }
  }
  __device__ float value(int c, float g, float x) const {
    return fmaf(scale.v[c], g, fmaf(slope.v[c], x, offset.v[c]));
  }
};

/// dx, where g is dy after the gate. Inputs: dy, x.
template <class T, int V, class Gate>
struct Backward {
  static constexpr int inputs = Gate::inputs, blocks_at_once = 2;
  const float *mean, *inv_std, *gamma;
  const double* sums;  // (groups,2,C)
  int packs, group, global_n;
  std::int64_t pixels;
  Gate gate;
  struct Constants {
    BackwardConstants<T, V> own;
    typename Gate::Constants gate;
  };
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    const Pack<V> average = load<V>(mean, group_pack), inverse = load<V>(inv_std, group_pack);
    Pack<V> scale = load<V>(gamma, pack), mean_g, mean_g_x_hat;
    const auto g = static_cast<int>((group_pack - pack) / packs);
    const double inv_m = 1.0 / static_cast<double>(min(group, global_n - g * group) * pixels);
    const double* both = sums + ((group_pack - pack) * 2 + pack) * V;
#pragma unroll
    for (int c = 0; c < V; ++c) {
      scale.v[c] *= inverse.v[c];
      mean_g.v[c] = static_cast<float>(both[c] * inv_m);
      mean_g_x_hat.v[c] = static_cast<float>(both[packs * V + c] * inv_m);
    }
    return {{average, inverse, scale, mean_g, mean_g_x_hat}, gate.constants(average, inverse, pack)};
  }
  __device__ float value(const Constants& k, int c, const float (&in)[inputs]) const {
    return k.own.value(c, gate(k.gate, c, in), in[1]);
  }
};

/// For __launch_bounds__; 0 leaves it to the compiler, which finds more than 2 for narrow packs.
template <int V, class Pass>
constexpr int least_blocks = V > 4 || (V == 4 && Pass::blocks_at_once == 4) ? Pass::blocks_at_once : 0;

// Grid: x = slice, y = group, z = tile of channels.
template <int V, class Pass, class T>
__global__ void __launch_bounds__(Tiling::block, least_blocks<V, Pass>)
    rows_kernel(Tiling t, const __grid_constant__ Pass pass, RowInputs<T, Pass::inputs> input,
                T* __restrict__ out) {
  const BatchNormPlace p = place_of(t);
  if (p.idle || p.row >= p.end) return;
  const auto constants = pass.constants(std::int64_t{p.group} * t.packs + p.pack, p.pack);
  for (std::int64_t first = p.row; first < p.end; first += rows_in_flight<V, Pass> * t.rows) {
    Pack<V> result;
    visit_rows<V, Pass>(t, p, first, input, [&](std::int64_t at, int c, const auto& values) {
      result.v[c] = pass.value(constants, c, values);
      if (c == V - 1) store<V>(out, at, result);
    });
  }
}

template <class T, int N, class MakePass>
void launch_rows(const CudaContext& context, const BatchNormShape& s, int widest, bool one_group,
                 const RowInputs<T, N>& input, T* out, MakePass make_pass) {
  if (s.n == 0) return;
  with_pack_width<T>(widest, [&](auto width) {
    constexpr int v = decltype(width)::value;
    const Tiling t = batchnorm_tiling(s, v, one_group);
    rows_kernel<v><<<batchnorm_grid(t), Tiling::block, 0, context.stream>>>(t, make_pass(width), input, out);
  });
  check_launch();
}

/// y = f(norm(T{}, width) of x + residual), the residual absent or a tensor like x. Call: either of the two.
/// `fours`: the parameters of the channels are in packs.
template <class Call, class MakeNorm>
void launch_forward(const CudaContext& context, const Call& call, const Tensor& shortcut,
                    LeakyReluEpilogue activation, bool fours, bool one_group, MakeNorm make_norm) {
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto *x = context.data<const T>(call.x), *residual = context.data<const T>(shortcut);
    auto* y = context.data<T>(call.y);
    const auto launch_with = [&]<int N>(const RowInputs<T, N>& input) {
      const int widest = fours ? pack_width<T>(call.shape.c, x, residual, y) : 1;
      launch_rows(context, call.shape, widest, one_group, input, y, [&](auto width) {
        return Forward<decltype(make_norm(T{}, width)), N>{make_norm(T{}, width), activation};
      });
    };
    if (residual == nullptr) return launch_with(RowInputs<T, 1>{{x}});
    launch_with(RowInputs<T, 2>{{x, residual}});
  });
}

void forward(const CudaContext& context, const BatchNormForward& call, const Tensor& residual,
             LeakyReluEpilogue activation) {
  const auto *mean = context.data<const float>(call.mean), *inv_std = context.data<const float>(call.inv_std),
             *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  launch_forward(context, call, residual, activation, in_fours(call.shape.c, mean, inv_std, gamma, beta),
                 false, [&]<class T>(T, auto width) {
                   return Normalize<T, decltype(width)::value>{mean, inv_std, {gamma, beta}};
                 });
}

void forward(const CudaContext& context, const BatchNormInference& call, const Tensor& residual,
             LeakyReluEpilogue activation) {
  const auto *mean = context.data<const float>(call.running_mean),
             *var = context.data<const float>(call.running_var),
             *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  launch_forward(
      context, call, residual, activation, in_fours(call.shape.c, mean, var, gamma, beta), true,
      [&]<class T>(T, auto width) {
        return NormalizeRunning<T, decltype(width)::value>{mean, var, gamma, beta, call.shape.epsilon};
      });
}

/// make_gate(width) returns the gate that dy passes first; `fours`: its parameters are in packs.
template <class T, class MakeGate>
void backward(const CudaContext& context, const BatchNormBackward& call, bool fours, MakeGate make_gate) {
  const BatchNormShape& s = call.shape;
  const auto *x = context.data<const T>(call.x), *dy = context.data<const T>(call.dy);
  const auto *mean = context.data<const float>(call.mean), *inv_std = context.data<const float>(call.inv_std),
             *gamma = context.data<const float>(call.gamma);
  const auto* sums = context.data<const double>(call.sums);
  auto* dx = context.data<T>(call.dx);
  const int widest = fours ? pack_width<T>(s.c, x, dy, mean, inv_std, gamma, dx) : 1;
  launch_rows(context, s, widest, false, RowInputs<T, 2>{{dy, x}}, dx, [&](auto width) {
    constexpr int v = decltype(width)::value;
    return Backward<T, v, decltype(make_gate(width))>{
        mean, inv_std, gamma, sums, s.c / v, s.group, s.global_n, s.pixels, make_gate(width)};
  });
}

}  // namespace

void launch(const CudaContext& context, const BatchNormForward& call) {
  forward(context, call, {}, LeakyReluEpilogue{});
}
void launch(const CudaContext& context, const BatchNormActivation& call) {
  forward(context, call.plain, call.residual, call.activation);
}
void launch(const CudaContext& context, const BatchNormInference& call) {
  forward(context, call, {}, LeakyReluEpilogue{});
}
void launch(const CudaContext& context, const BatchNormInferenceActivation& call) {
  forward(context, call.plain, call.residual, call.activation);
}

void launch(const CudaContext& context, const BatchNormBackward& call) {
  with_storage(call.dx.dtype, [&]<class T>(T) {
    backward<T>(context, call, true, [](auto width) { return Open<decltype(width)::value>{}; });
  });
}
void launch(const CudaContext& context, const BatchNormActivationBackward& call) {
  const Affine affine{context.data<const float>(call.plain.gamma), context.data<const float>(call.beta)};
  with_storage(call.plain.dx.dtype, [&]<class T>(T) {
    backward<T>(context, call.plain, in_fours(call.plain.shape.c, affine.beta), [&](auto width) {
      return Recomputed<T, decltype(width)::value>{call.activation, affine};
    });
  });
}

}  // namespace convoy
