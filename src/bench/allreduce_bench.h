// `convoy bench allreduce`: sums over ranks of growing size, queued as a training step queues them.
#pragma once

#include <string>
#include <vector>

#include "src/config/config.h"
#include "src/engine/engine.h"

namespace convoy {

struct AllReduceRow {
  std::int64_t bytes = 0;
  double seconds = 0;
  /// What each rank sends over the wire in a ring, 2 (ranks - 1) / ranks of the bytes, per second: comparable
  /// between rank counts, as nccl-tests has it.
  double bus_bytes_per_second = 0;
};

struct AllReduceFigures {
  std::string engine;
  int ranks = 0;
  std::vector<AllReduceRow> rows;
};

/// Bytes of the messages: from 256 to `largest`, each four times the one before.
std::vector<std::int64_t> message_sizes(std::int64_t largest);

/// Collective; throws AgreedError (exit code 2) on a single rank.
AllReduceFigures bench_allreduce(Device device, std::int64_t largest, const RankEnvironment& ranks);

}  // namespace convoy
