// Activations, dropout and sums over flat arrays: y[i] = f(i, a[i], ...). One thread computes 16 bytes of
// elements (fewer where the count or an address is odd), in float, whatever type T all arrays of a call are
// stored in. Bytes limit all of them.
#include "core/random.h"
#include "kernels/cuda_device.cuh"
#include "kernels/elementwise.h"

namespace convoy {
namespace {

template <class F>
struct Fprop {
  F activation;
  __device__ float operator()(float x) const { return activation.f(x); }
};
template <class F>
struct Dgrad {
  F activation;
  __device__ float operator()(float saved, float dy) const { return activation.gradient(saved, dy); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

// No __restrict__: y may be one of the inputs.
template <int V, class F, class T, class... Inputs>
__global__ void __launch_bounds__(block_size)
    map_kernel(std::int64_t packs, F f, T* y, const Inputs*... inputs) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= packs) return;
  const auto apply = [&](const auto&... in) {
    Pack<V> out;
#pragma unroll
    for (int k = 0; k < V; ++k) out.v[k] = f(in.v[k]...);
    store<V>(y, i, out);
  };
  apply(load<V>(inputs, i)...);
}

template <class F, class T, class... Inputs>
void map(const CudaContext& context, F f, std::int64_t count, T* y, const Inputs*... inputs) {
  if (count == 0) return;
  with_pack_width<T>(pack_width<T>(count, y, inputs...), [&](auto width) {
    constexpr int v = decltype(width)::value;
    const std::int64_t packs = count / v;
    map_kernel<v><<<blocks_for(packs), block_size, 0, context.stream>>>(packs, f, y, inputs...);
  });
  check_launch();
}

/// One thread per four elements of the global batch that share a Philox draw; `first` may lie inside such
/// four.
template <int V, class T>
__global__ void __launch_bounds__(block_size)
    dropout_kernel(std::int64_t packs, const StepState* state, float rate, float scale, std::uint32_t layer,
                   std::int64_t first, const T* x, T* y) {
  const std::int64_t j = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (j >= packs) return;
  const auto i = static_cast<std::uint64_t>(first + j * V);
  const auto step = static_cast<std::uint64_t>(state->step);
  const Random4 words = random4(state->seed, Purpose::dropout, layer, (step << 40) + i / 4);
  Pack<V> value = load<V>(x, j);
#pragma unroll
  for (int k = 0; k < V; ++k) {
    std::uint32_t word = words.v[k];
    if constexpr (V ==
                  1) {  // selects, because an index known only at run time would send the array to memory
      const auto lane = static_cast<int>(i % 4);
      word = lane == 0 ? words.v[0] : lane == 1 ? words.v[1] : lane == 2 ? words.v[2] : words.v[3];
    }
    value.v[k] = uniform01(word) >= rate ? value.v[k] * scale : 0.0f;
  }
  store<V>(y, j, value);
}

/// One thread per pack of an image, of which it has `packs`.
template <int V, class T>
__global__ void __launch_bounds__(block_size)
    drop_path_kernel(std::int64_t threads, const StepState* state, float rate, float scale,
                     std::uint32_t layer, std::int64_t first, std::int64_t packs, const T* x, T* y) {
  const std::int64_t j = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (j >= threads) return;
  const auto image = static_cast<std::uint64_t>(first + j / packs);
  const auto step = static_cast<std::uint64_t>(state->step);
  const Random4 words = random4(state->seed, Purpose::dropout, layer, (step << 40) + image / 4);
  const auto lane = static_cast<int>(image % 4);  // selects, as above
  const std::uint32_t word = lane == 0   ? words.v[0]
                             : lane == 1 ? words.v[1]
                             : lane == 2 ? words.v[2]
                                         : words.v[3];
  Pack<V> value = load<V>(x, j);
  const bool keep = uniform01(word) >= rate;
#pragma unroll
  for (int k = 0; k < V; ++k) value.v[k] = keep ? value.v[k] * scale : 0.0f;
  store<V>(y, j, value);
}

}  // namespace

void launch(const CudaContext& context, const ActivationForward& call) {
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    with_activation(call.kind, call.parameter,
                    [&](auto f) { map(context, Fprop<decltype(f)>{f}, call.x.count, y, x); });
  });
}

void launch(const CudaContext& context, const ActivationBackward& call) {
  with_storage(call.dx.dtype, [&]<class T>(T) {
    const auto *saved = context.data<const T>(call.saved), *dy = context.data<const T>(call.dy);
    auto* dx = context.data<T>(call.dx);
    with_activation(call.kind, call.parameter,
                    [&](auto f) { map(context, Dgrad<decltype(f)>{f}, call.dx.count, dx, saved, dy); });
  });
}

void launch(const CudaContext& context, const Dropout& call) {
  const std::int64_t count = call.x.count;
  if (count == 0) return;
  const float scale = 1.0f / (1.0f - call.rate);
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    const bool fours = call.first % 4 == 0 && in_fours(count, x, y);
    with_pack_width<float>(fours ? 4 : 1, [&](auto width) {
      constexpr int v = decltype(width)::value;
      const std::int64_t packs = count / v;
      dropout_kernel<v><<<blocks_for(packs), block_size, 0, context.stream>>>(
          packs, context.state, call.rate, scale, call.layer, call.first, x, y);
    });
  });
  check_launch();
}

void launch(const CudaContext& context, const DropPath& call) {
  if (call.x.count == 0) return;
  const float scale = 1.0f / (1.0f - call.rate);
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    with_pack_width<T>(pack_width<T>(call.features, x, y), [&](auto width) {
      constexpr int v = decltype(width)::value;
      const std::int64_t threads = call.x.count / v;
      drop_path_kernel<v><<<blocks_for(threads), block_size, 0, context.stream>>>(
          threads, context.state, call.rate, scale, call.layer, call.first, call.features / v, x, y);
    });
  });
  check_launch();
}

void launch(const CudaContext& context, const Add& call) {
  with_storage(call.y.dtype, [&]<class T>(T) {
    map(context, Sum{}, call.y.count, context.data<T>(call.y), context.data<const T>(call.a),
        context.data<const T>(call.b));
  });
}

}  // namespace convoy
