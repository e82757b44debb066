// Flat calls on the CPU: one pass over memory each, shared out in fixed runs, vectorised by the compiler.
#include "kernels/elementwise.h"

#include <algorithm>
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

}  // namespace

void launch(const CpuContext& context, const ActivationForward& call) {
  with_activation(call.kind, call.parameter, [&](auto activation) {
    map(context.threads(), context.data<float>(call.x), context.data<float>(call.y), call.y.count,
        [=](float x) { return activation.f(x); });
  });
}

void launch(const CpuContext& context, const ActivationBackward& call) {
  with_activation(call.kind, call.parameter, [&](auto activation) {
    map(context.threads(), context.data<float>(call.saved), context.data<float>(call.dy),
        context.data<float>(call.dx), call.dx.count,
        [=](float saved, float dy) { return activation.gradient(saved, dy); });
  });
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

void launch(const CpuContext& context, const DropPath& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  const float rate = call.rate, scale = 1.0f / (1.0f - call.rate);
  const auto seed = context.state.seed;
  const std::uint64_t base = static_cast<std::uint64_t>(context.state.step) << 40;
  for_each_run<run_length>(
      context.threads(), call.y.count,
      [=, layer = call.layer, first = call.first, features = call.features](std::int64_t, std::int64_t i,
                                                                            std::int64_t end) {
        while (i < end) {  // what the run has of an image
          const std::int64_t image = i / features, stop = std::min(end, (image + 1) * features);
          const auto place = static_cast<std::uint64_t>(first + image);
          const Random4 random = random4(seed, Purpose::dropout, layer, base + place / 4);
          const bool keep = uniform01(random.v[place % 4]) >= rate;
          for (; i < stop; ++i) y[i] = keep ? x[i] * scale : 0.0f;
        }
      });
}

void launch(const CpuContext& context, const Add& call) {
  map(context.threads(), context.data<float>(call.a), context.data<float>(call.b),
      context.data<float>(call.y), call.y.count, [](float a, float b) { return a + b; });
}

}  // namespace convoy
