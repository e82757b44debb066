// Flat calls on the CPU: one pass over memory each, shared out in fixed runs, vectorised by the compiler.
#include "kernels/elementwise.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/random.h"
#include "kernels/runs.h"

namespace convoy {
namespace {

constexpr std::int64_t run_length = 4096;  ///< of elements: a multiple of a cache line

/// y(i) = f(x(i)).
template <class Function>
void map(ThreadPool& threads, const float* x, float* y, std::int64_t count, Function&& f) {
  for_each_run<run_length>(threads, count, [=](std::int64_t, std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) y[i] = f(x[i]);
  });
}
/// y(i) = f(a(i), b(i)).
template <class Function>
void map(ThreadPool& threads, const float* a, const float* b, float* y, std::int64_t count, Function&& f) {
  for_each_run<run_length>(threads, count, [=](std::int64_t, std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) y[i] = f(a[i], b[i]);
  });
}

constexpr float inv_sqrt_2 = 0.70710678118654752f, inv_sqrt_2pi = 0.39894228040143268f;

}  // namespace

void launch(const CpuContext& context, const ActivationForward& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  const std::int64_t count = call.y.count;
  ThreadPool& threads = context.threads();
  switch (call.kind) {
    case Activation::relu:  // a NaN stays one
      return map(threads, x, y, count, [](float v) { return v < 0.0f ? 0.0f : v; });
    case Activation::leaky_relu:
      return map(threads, x, y, count, [slope = call.slope](float v) { return v > 0.0f ? v : slope * v; });
    case Activation::gelu:
      return map(threads, x, y, count, [](float v) { return 0.5f * v * (1.0f + std::erf(v * inv_sqrt_2)); });
    case Activation::tanh:
      return map(threads, x, y, count, [](float v) { return std::tanh(v); });
    case Activation::sigmoid:
      return map(threads, x, y, count, [](float v) { return 1.0f / (1.0f + std::exp(-v)); });
  }
}

void launch(const CpuContext& context, const ActivationBackward& call) {
  const float* saved = context.data<float>(call.saved);
  const float* dy = context.data<float>(call.dy);
  float* dx = context.data<float>(call.dx);
  const std::int64_t count = call.dx.count;
  ThreadPool& threads = context.threads();
  switch (call.kind) {
    case Activation::relu:
      return map(threads, saved, dy, dx, count, [](float y, float d) { return y > 0.0f ? d : 0.0f; });
    case Activation::leaky_relu:
      return map(threads, saved, dy, dx, count,
                 [slope = call.slope](float y, float d) { return y > 0.0f ? d : slope * d; });
    case Activation::gelu:  // Φ(x) + x φ(x)
      return map(threads, saved, dy, dx, count, [](float x, float d) {
        return d * (0.5f * (1.0f + std::erf(x * inv_sqrt_2)) + x * inv_sqrt_2pi * std::exp(-0.5f * x * x));
      });
    case Activation::tanh:
      return map(threads, saved, dy, dx, count, [](float y, float d) { return d * (1.0f - y * y); });
    case Activation::sigmoid:
      return map(threads, saved, dy, dx, count, [](float y, float d) { return d * y * (1.0f - y); });
  }
}

void launch(const CpuContext& context, const Dropout& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  const float rate = call.rate, scale = 1.0f / (1.0f - call.rate);
  const auto seed = context.state.seed;
  const std::uint64_t base = static_cast<std::uint64_t>(context.state.step) << 40;
  const auto [layer, offset] = std::pair(call.layer, call.first);
  for_each_run<run_length>(
      context.threads(), call.y.count, [=](std::int64_t, std::int64_t i, std::int64_t end) {
        while (i < end) {  // up to four elements share a draw
          const std::int64_t position = offset + i;
          const Random4 random =
              random4(seed, Purpose::dropout, layer, base + static_cast<std::uint64_t>(position / 4));
          for (auto lane = static_cast<int>(position % 4); lane < 4 && i < end; ++lane, ++i) {
            y[i] = uniform01(random.v[lane]) >= rate ? x[i] * scale : 0.0f;
          }
        }
      });
}

void launch(const CpuContext& context, const Add& call) {
  map(context.threads(), context.data<float>(call.a), context.data<float>(call.b),
      context.data<float>(call.y), call.y.count, [](float a, float b) { return a + b; });
}

}  // namespace convoy
