// The makers behind make_engine(), one per family of engines.
#pragma once

#include <memory>

#include "src/engine/engine.h"

namespace convoy {

/// The reference engines and the one with threads of the CPU. Collective: every rank calls it.
std::unique_ptr<Engine> make_host_engine(EngineKind kind, const RankEnvironment& ranks);
/// In engine_cuda.cpp; engine_no_cuda.cpp has the one that says what is missing. Collective.
std::unique_ptr<Engine> make_cuda_engine(const RankEnvironment& ranks);

}  // namespace convoy
