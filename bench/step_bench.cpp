// Whole training steps of configs/mnist_lenet.yaml, batch 128, on every engine this machine has: the
// sequential reference is the baseline that speed-ups are measured against.
//
//   convoy_bench_steps [--benchmark_filter=cpu]
#include <benchmark/benchmark.h>

#include <string>

#include "src/config/config.h"
#include "src/core/random.h"
#include "src/data/source_info.h"
#include "src/train/session.h"

namespace convoy {
namespace {

constexpr int batch = 128;

/// `count` random images of a source's shape, one validation image behind them.
Dataset random_data(const DataConfig& config, int count) {
  const SourceInfo info = source_info(config);
  Dataset data;
  data.image = info.image;
  data.classes = info.classes;
  for (int i = 0; i <= count; ++i) {
    (i < count ? data.train : data.validation).push_back(i);
    const auto sample = static_cast<std::uint32_t>(i);
    data.labels.push_back(static_cast<int>(random4(1, Purpose::split, sample, 0).v[0] % 10));
    for (std::int64_t p = 1; p <= info.image.count(); ++p) {
      data.images.push_back(
          static_cast<std::uint8_t>(random4(1, Purpose::split, sample, static_cast<std::uint64_t>(p)).v[0]));
    }
  }
  return data;
}

void training_step(benchmark::State& bench, EngineKind kind) {
  const Config config = load_config(CONVOY_SOURCE_DIR "/configs/mnist_lenet.yaml", {});
  const RankEnvironment alone = RankEnvironment::alone();
  Session session(config, random_data(config.data, batch), make_engine(kind, alone), alone);
  session.initialize();
  session.begin_epoch(1);
  StepState state;
  state.learning_rate = 1e-3f;
  session.train_batch(0, state);  // first touch of memory, capture of the graph
  session.engine().synchronize();
  for (auto _ : bench) {
    session.train_batch(0, state);
    session.engine().synchronize();
  }
  bench.counters["images/s"] =
      benchmark::Counter(batch * static_cast<double>(bench.iterations()), benchmark::Counter::kIsRate);
  bench.SetLabel(session.engine().describe());
}

void register_engine(const std::string& name, EngineKind kind) {
  benchmark::RegisterBenchmark(("lenet_step/" + name).c_str(), training_step, kind)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

}  // namespace
}  // namespace convoy

int main(int argc, char** argv) {
  using convoy::EngineKind;
  convoy::register_engine("reference", EngineKind::reference_f32);
  convoy::register_engine("cpu", EngineKind::cpu);
  if (convoy::cuda_device_count() > 0) convoy::register_engine("cuda", EngineKind::cuda);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
