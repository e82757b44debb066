#include "src/train/setup.h"

#include <future>

#include "comm/agree.h"

namespace convoy {

EngineKind choose_engine(const Config& config, const RankEnvironment& ranks) {
  // The schema admits fp64 with the reference alone.
  const bool fp64 = config.train.precision == Precision::fp64;
  switch (config.device) {
    case Device::reference:
      return fp64 ? EngineKind::reference_f64 : EngineKind::reference_f32;
    case Device::cpu:
      return EngineKind::cpu;
    case Device::cuda:
      return EngineKind::cuda;
    case Device::automatic:
      break;
  }
  const bool everywhere = ranks.max(cuda_device_count() > 0 ? 0 : 1) == 0;
  return everywhere ? EngineKind::cuda : EngineKind::cpu;
}

std::unique_ptr<Session> make_session(const Config& config, const RankEnvironment& ranks) {
  std::future<Dataset> loading =
      std::async(std::launch::async, [&] { return load_dataset(config.data, config.seed); });
  std::unique_ptr<Engine> engine = make_engine(choose_engine(config, ranks), ranks);
  Dataset dataset;
  agree(ranks, [&] { dataset = loading.get(); });
  return std::make_unique<Session>(config, std::move(dataset), std::move(engine), ranks);
}

}  // namespace convoy
