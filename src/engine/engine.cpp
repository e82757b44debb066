// Which engine serves which kind.
#include "src/engine/engine.h"

#include "src/engine/engine_factories.h"

namespace convoy {

std::unique_ptr<Engine> make_engine(EngineKind kind, const RankEnvironment& ranks) {
  return kind == EngineKind::cuda ? make_cuda_engine(ranks) : make_host_engine(kind, ranks);
}

}  // namespace convoy
