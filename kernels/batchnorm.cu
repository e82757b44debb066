// The elementwise passes of batch normalisation: y from x, dx from dy and x, with an activation and a
// shortcut's sum where a fused call asks for them (batchnorm_rows.cuh). The sums they need are in
// batchnorm_sums.cu.
#include "kernels/batchnorm_rows.cuh"
#include "kernels/fused.h"

namespace convoy {
namespace {

using Tiling = BatchNormTiling;

/// From saved moments (groups,C).
template <int V>
struct Normalize {
  const float *mean, *inv_std;
  Affine affine;
  using Constants = NormalizeConstants<V>;
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    return affine.constants<V>(load<V>(mean, group_pack), load<V>(inv_std, group_pack), pack);
  }
};
/// From running averages (C).
template <int V>
struct NormalizeRunning {
  const float *mean, *var, *gamma, *beta;  // (C)
  float epsilon;
  using Constants = NormalizeConstants<V>;
  __device__ Constants constants(std::int64_t, std::int64_t pack) const {
    Constants k{load<V>(mean, pack), load<V>(var, pack), load<V>(beta, pack)};
    const Pack<V> g = load<V>(gamma, pack);
#pragma unroll
    for (int c = 0; c < V; ++c) k.scale.v[c] = g.v[c] / sqrtf(k.scale.v[c] + epsilon);
    return k;
  }
};

/// y = f(the normalised x + residual); inputs x and, where N = 2, the residual.
template <class Norm, int N>
struct Forward {
  static constexpr int inputs = N;
  Norm norm;
  Rectifier activation;
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

/// dx = scale (g - mean(g) - x̂ mean(g x̂)), g being what the gate makes of dy; inputs dy, x.
template <int V, class Gate>
struct Backward {
  static constexpr int inputs = Gate::inputs;
  const float *mean, *inv_std, *gamma;
  const double* sums;  // (groups,2,C)
  int packs, group, global_n;
  std::int64_t pixels;
  Gate gate;
  struct Constants {
    Pack<V> mean, inv_std, scale, mean_dy, mean_dy_x_hat;
    typename Gate::Constants gate;
  };
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    Constants k{load<V>(mean, group_pack), load<V>(inv_std, group_pack), load<V>(gamma, pack), {}, {}, {}};
    k.gate = gate.constants(k.mean, k.inv_std, pack);
    const auto g = static_cast<int>((group_pack - pack) / packs);
    const double inv_m = 1.0 / static_cast<double>(min(group, global_n - g * group) * pixels);
    const double* own = sums + ((group_pack - pack) * 2 + pack) * V;
#pragma unroll
    for (int c = 0; c < V; ++c) {
      k.scale.v[c] *= k.inv_std.v[c];
      k.mean_dy.v[c] = static_cast<float>(own[c] * inv_m);
      k.mean_dy_x_hat.v[c] = static_cast<float>(own[packs * V + c] * inv_m);
    }
    return k;
  }
  __device__ float value(const Constants& k, int c, const float (&in)[inputs]) const {
    const float x_hat = (in[1] - k.mean.v[c]) * k.inv_std.v[c];
    return k.scale.v[c] * (gate(k.gate, c, in) - k.mean_dy.v[c] - x_hat * k.mean_dy_x_hat.v[c]);
  }
};

// Grid: x = slice, y = group, z = tile of channels.
template <int V, class Pass, class T>
__global__ void __launch_bounds__(Tiling::block)
    rows_kernel(Tiling t, const __grid_constant__ Pass pass, RowInputs<T, Pass::inputs> input,
                T* __restrict__ out) {
  const BatchNormPlace p = place_of(t);
  if (p.idle || p.row >= p.end) return;
  const auto constants = pass.constants(std::int64_t{p.group} * t.packs + p.pack, p.pack);
  for (std::int64_t first = p.row; first < p.end; first += std::int64_t{Tiling::rows_at_once} * t.rows) {
    Pack<V> result;
    visit_rows<V>(t, p, first, input, [&](std::int64_t row, int c, const auto& values) {
      result.v[c] = pass.value(constants, c, values);
      if (c == V - 1) store<V>(out, row * t.packs + p.pack, result);
    });
  }
}

template <class T, int N, class MakePass>
void launch_rows(const CudaContext& context, const BatchNormShape& s, bool fours, bool one_group,
                 const RowInputs<T, N>& input, T* out, MakePass make_pass) {
  if (s.n == 0) return;
  with_pack_width(fours, [&](auto width) {
    constexpr int v = decltype(width)::value;
    const Tiling t = batchnorm_tiling(s, v, one_group);
    rows_kernel<v><<<batchnorm_grid(t), Tiling::block, 0, context.stream>>>(t, make_pass(width), input, out);
  });
  check_launch();
}

/// y = f(norm(width) of x + residual), the residual absent or a tensor like x. Call: either of the two.
template <class Call, class MakeNorm>
void launch_forward(const CudaContext& context, const Call& call, const Tensor& shortcut,
                    Rectifier activation, bool fours, bool one_group, MakeNorm make_norm) {
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto *x = context.data<const T>(call.x), *residual = context.data<const T>(shortcut);
    auto* y = context.data<T>(call.y);
    const auto launch_with = [&]<int N>(const RowInputs<T, N>& input) {
      launch_rows(context, call.shape, fours && in_fours(call.shape.c, x, residual, y), one_group, input, y,
                  [&](auto width) {
                    return Forward<decltype(make_norm(width)), N>{make_norm(width), activation};
                  });
    };
    if (residual == nullptr) return launch_with(RowInputs<T, 1>{{x}});
    launch_with(RowInputs<T, 2>{{x, residual}});
  });
}

void forward(const CudaContext& context, const BatchNormForward& call, const Tensor& residual,
             Rectifier activation) {
  const auto *mean = context.data<const float>(call.mean), *inv_std = context.data<const float>(call.inv_std),
             *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  launch_forward(context, call, residual, activation, in_fours(call.shape.c, mean, inv_std, gamma, beta),
                 false, [&](auto width) {
                   return Normalize<decltype(width)::value>{mean, inv_std, {gamma, beta}};
                 });
}

void forward(const CudaContext& context, const BatchNormInference& call, const Tensor& residual,
             Rectifier activation) {
  const auto *mean = context.data<const float>(call.running_mean),
             *var = context.data<const float>(call.running_var),
             *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  launch_forward(
      context, call, residual, activation, in_fours(call.shape.c, mean, var, gamma, beta), true,
      [&](auto width) {
        return NormalizeRunning<decltype(width)::value>{mean, var, gamma, beta, call.shape.epsilon};
      });
}

/// make_gate(width) gives what becomes of dy first.
template <class T, class MakeGate>
void backward(const CudaContext& context, const BatchNormBackward& call, bool fours, MakeGate make_gate) {
  const BatchNormShape& s = call.shape;
  const auto *x = context.data<const T>(call.x), *dy = context.data<const T>(call.dy);
  const auto *mean = context.data<const float>(call.mean), *inv_std = context.data<const float>(call.inv_std),
             *gamma = context.data<const float>(call.gamma);
  const auto* sums = context.data<const double>(call.sums);
  auto* dx = context.data<T>(call.dx);
  fours = fours && in_fours(s.c, x, dy, mean, inv_std, gamma, dx);
  launch_rows(context, s, fours, false, RowInputs<T, 2>{{dy, x}}, dx, [&](auto width) {
    constexpr int v = decltype(width)::value;
    return Backward<v, decltype(make_gate(width))>{
        mean, inv_std, gamma, sums, s.c / v, s.group, s.global_n, s.pixels, make_gate(width)};
  });
}

}  // namespace

void launch(const CudaContext& context, const BatchNormForward& call) {
  forward(context, call, {}, Rectifier{});
}
void launch(const CudaContext& context, const BatchNormRectified& call) {
  forward(context, call.plain, call.residual, call.activation);
}
void launch(const CudaContext& context, const BatchNormInference& call) {
  forward(context, call, {}, Rectifier{});
}
void launch(const CudaContext& context, const BatchNormInferenceRectified& call) {
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
