#include "src/session/setup.h"

#include <fmt/format.h>

#include <future>

#include "comm/agree.h"
#include "comm/cores.h"
#include "core/log.h"
#include "src/session/rank_checks.h"

namespace convoy {
namespace {

/// What a precision takes, for people.
std::string needs(Precision precision) {
  const bool newer = precision != Precision::fp16;
  return fmt::format("train.precision: {} needs, on every rank, a CUDA device{}", name_of(precision),
                     newer ? " of compute capability 8.0 or newer and a binary built for it" : "");
}

EngineKind choose_engine(const Config& config, const RankEnvironment& ranks) {
  // The schema admits fp64 with the reference alone, and what needs CUDA with neither host engine.
  const Precision precision = config.train.precision;
  switch (config.device) {
    case Device::reference:
      return precision == Precision::fp64 ? EngineKind::reference_f64 : EngineKind::reference_f32;
    case Device::cpu:
      return EngineKind::cpu;
    case Device::cuda:
      return EngineKind::cuda;
    case Device::automatic:
      break;
  }
  const bool everywhere = ranks.max(cuda_device_count() > 0 ? 0 : 1) == 0;
  if (needs_cuda(precision) && !everywhere) {
    throw AgreedError(format_printable("{}; not all have one", needs(precision)));
  }
  return everywhere ? EngineKind::cuda : EngineKind::cpu;
}

}  // namespace

std::unique_ptr<Engine> make_engine_for(const Config& config, const RankEnvironment& ranks) {
  const EngineKind kind = choose_engine(config, ranks);
  std::unique_ptr<Engine> engine = make_engine(kind, ranks);
  if (kind == EngineKind::cuda && config.distributed.bind) bind_near(engine->identity().pci_address, ranks);
  const Precision precision = config.train.precision;
  if (ranks.max(engine->computes_in(precision) ? 0 : 1) > 0) {
    throw AgreedError(format_printable("{}; rank 0 runs on {}{}", needs(precision), engine->describe(),
                                       precision == Precision::bf16 ? "; fp16 runs there" : ""));
  }
  return engine;
}

std::unique_ptr<Session> make_session(const Config& config, const RankEnvironment& ranks, bool identify) {
  std::shared_future<DataIdentity> identity;
  std::future<Dataset> loading = std::async(std::launch::async, [&] {
    Dataset read = load_dataset(config.data, config.seed);
    if (identify && ranks.is_root()) identity = convoy::identify(read, config.data, config.seed);
    return read;
  });
  ranks.activity().begin("loading data");
  std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
  Dataset dataset;
  agree(ranks, [&] { dataset = loading.get(); });
  require_same_data(dataset, ranks);
  if (ranks.is_root() && !dataset.warning.empty()) log_warn("{}", dataset.warning);
  return std::make_unique<Session>(config, std::move(dataset), std::move(engine), ranks, std::move(identity));
}

}  // namespace convoy
