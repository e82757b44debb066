// Checks that ranks make together before they train.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/engine/engine.h"

namespace convoy {

/// Checks that all ranks have the same configuration. data.path may differ, since data may lie elsewhere on
/// another host. Collective; throws AgreedError that names the rank.
void require_same_config(const Config& config, const RankEnvironment& ranks);
/// Checks the same for classes, labels, images and the parts that they belong to.
void require_same_data(const Dataset& dataset, const RankEnvironment& ranks);
/// Throws AgreedError where ranks share a device, as a wrong CUDA_VISIBLE_DEVICES makes them. `uuids`: each
/// rank's DeviceIdentity::uuid.
void require_distinct_devices(const std::vector<std::string>& uuids);

/// A line per rank: host, device, cores; collective.
std::string map_of_ranks(const Engine& engine, const RankEnvironment& ranks);

/// Says what to do if /dev/shm may be too small for NCCL; empty if it suffices.
std::string shared_memory_problem(std::int64_t free_bytes, int local_ranks);

/// Sums a buffer over the ranks through the engine's communicator and returns bytes per second of the
/// fastest of a few. Collective, on an engine without arenas; throws AgreedError when a sum is wrong.
double time_test_sum(Engine& engine, std::int64_t bytes, const RankEnvironment& ranks);

}  // namespace convoy
