// Every call of a LeNet 32-64-128 training step on the OpenMP engine, batch 128, one row each.
//
// Run with OMP_NUM_THREADS=1 and 2 to see how a call scales. Inputs are random; between repetitions nothing
// is flushed, as a step finds its activations in the cache of the call before.
#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels/calls.h"

namespace convoy {
namespace {

constexpr int batch = 128;

/// Random tensors in one arena, and a context that sees them and enough scratch for any call.
class Bench {
 public:
  Bench() : activations_(48 << 20), workspace_(4 << 20) {
    context_.arenas.bind(Arena::activations, activations_.data(), bytes(activations_));
    context_.arenas.bind(Arena::workspace, workspace_.data(), bytes(workspace_));
    context_.state.learning_rate = 1e-3f;
    for (std::size_t i = 0; i < activations_.size(); ++i) {
      activations_[i] = uniform01(random4(1, Purpose::initialize, 0, i).v[0]) - 0.5f;
    }
  }
  Tensor take(std::int64_t count, DType type = DType::f32) {
    const Tensor tensor{Arena::activations, type, used_, count};
    used_ += (tensor.bytes() + 63) / 64 * 64;
    check(used_ <= bytes(activations_), "benchmark arena too small");
    return tensor;
  }
  /// A tensor that the optimizer updates: counted, as the plan lays it out.
  Tensor take_parameter(std::int64_t count) {
    parameters_ += (count + parameter_alignment - 1) / parameter_alignment * parameter_alignment;
    return take(count);
  }
  std::int64_t parameters() const { return parameters_; }
  template <class Call>
  void add(const std::string& layer, const Call& call) {
    benchmark::RegisterBenchmark(
        (layer + "/" + Call::name).c_str(),
        [this, call](benchmark::State& state) {
          for (auto _ : state) launch(context_, call);
          state.counters["GFLOP/s"] = benchmark::Counter(static_cast<double>(call.flops()) * 1e-9,
                                                         benchmark::Counter::kIsIterationInvariantRate);
          std::int64_t moved = 0;
          ByteCount count{moved};
          Call::visit(call, count);
          state.SetBytesProcessed(moved * static_cast<std::int64_t>(state.iterations()));
        })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
    step_.push_back([this, call] { launch(context_, call); });
  }
  /// All calls registered so far, one after the other.
  void add_step() {
    benchmark::RegisterBenchmark(
        "step",
        [this](benchmark::State& state) {
          for (auto _ : state) {
            for (const auto& call : step_) call();
          }
          state.SetItemsProcessed(batch * static_cast<std::int64_t>(state.iterations()));
        })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }

 private:
  struct ByteCount {
    std::int64_t& total;
    void reads(const Tensor& tensor) { total += tensor.bytes(); }
    void writes(const Tensor& tensor) { total += tensor.bytes(); }
    void updates(const Tensor& tensor) { total += 2 * tensor.bytes(); }
  };
  static std::int64_t bytes(const std::vector<float>& values) {
    return static_cast<std::int64_t>(values.size() * sizeof(float));
  }

  std::vector<float> activations_, workspace_;
  std::int64_t used_ = 0, parameters_ = 0;
  CpuContext context_{nullptr};
  std::vector<std::function<void()>> step_;
};

/// Registers convolution, ReLU (in place) and 2 x 2 max pooling of one stage; returns the pooled features.
Tensor add_stage(Bench& bench, const std::string& name, const FeatureShape& in, int filters, const Tensor& x,
                 bool first) {
  ConvShape conv{.n = batch, .in = in, .k = filters, .r = 3, .s = 3, .pad = {0, 1, 1}};
  PoolShape pool{.n = batch, .in = conv.out(), .kernel = {1, 2, 2}, .stride = {1, 2, 2}};
  const Tensor w = bench.take_parameter(conv.weights()), bias = bench.take_parameter(filters);
  const Tensor y = bench.take(batch * conv.out().count()), dy = bench.take(y.count);
  const Tensor pooled = bench.take(batch * pool.out().count()), dpooled = bench.take(pooled.count);
  const Tensor argmax = bench.take(pooled.count, DType::u8);
  const Tensor dw = bench.take(w.count), db = bench.take(filters);
  bench.add(name, ConvForward{conv, x, w, bias, y});
  bench.add(name, ActivationForward{Activation::relu, 0.0f, y, y});
  bench.add(name, MaxPoolForward{pool, y, pooled, argmax});
  bench.add(name, MaxPoolBackward{pool, dpooled, argmax, dy});
  bench.add(name, ActivationBackward{Activation::relu, 0.0f, y, dy, dy});
  bench.add(name, BiasGrad{batch * conv.out().pixels(), filters, dy, db});
  bench.add(name, ConvWgrad{conv, x, dy, dw});
  if (!first) bench.add(name, ConvDgrad{conv, dy, w, bench.take(x.count)});
  return pooled;
}

Tensor add_linear(Bench& bench, const std::string& name, int inputs, int outputs, const Tensor& x) {
  const LinearShape linear{batch, inputs, outputs};
  const Tensor w = bench.take_parameter(std::int64_t{inputs} * outputs), bias = bench.take_parameter(outputs);
  const Tensor y = bench.take(std::int64_t{batch} * outputs), dy = bench.take(y.count),
               dx = bench.take(x.count);
  bench.add(name, LinearForward{linear, x, w, bias, y});
  bench.add(name, BiasGrad{batch, outputs, dy, bench.take(outputs)});
  bench.add(name, LinearWgrad{linear, x, dy, bench.take(w.count)});
  bench.add(name, LinearDgrad{linear, dy, w, dx});
  return y;
}

void add_lenet(Bench& bench) {
  const Tensor x = bench.take(batch * 28 * 28);
  const Tensor first = add_stage(bench, "conv1", {1, 28, 28, 1}, 32, x, true);
  const Tensor second = add_stage(bench, "conv2", {1, 14, 14, 32}, 64, first, false);
  const Tensor hidden = add_linear(bench, "linear1", 3136, 128, second);
  bench.add("linear1", ActivationForward{Activation::relu, 0.0f, hidden, hidden});
  bench.add("linear1", ActivationBackward{Activation::relu, 0.0f, hidden, hidden, bench.take(hidden.count)});
  add_linear(bench, "linear2", 128, 10, hidden);
  const std::int64_t parameters = bench.parameters();
  bench.add("all", SgdStep{0.9f, true, bench.take(parameters), bench.take(parameters), bench.take(parameters),
                           bench.take(parameters / parameter_alignment)});
  bench.add_step();
}

}  // namespace
}  // namespace convoy

int main(int argc, char** argv) {
  convoy::Bench bench;
  convoy::add_lenet(bench);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
