// What readers of data sets share (src/data/sets).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/random.h"
#include "src/data/dataset.h"

namespace convoy {

/// Moves a random share of the training ids, data.validation, to validation, of each class its share; both
/// stay in rising order.
/// Throws Error (exit code 2) when one of them gets nothing.
void split_off_validation(Dataset& data, const DataConfig& config, std::uint64_t seed);

/// Appends the ids of samples [first, first + count).
void append_ids(std::vector<std::int32_t>& ids, std::int64_t first, std::int64_t count);

/// Throws what a reader says when `folder` is not one: what was expected there.
void check_folder(const std::filesystem::path& folder, const std::string& expected);

/// Fisher-Yates with random4(seed, purpose, stream, first + position).
void shuffle(std::vector<std::int32_t>& ids, std::uint64_t seed, Purpose purpose, std::uint32_t stream,
             std::uint64_t first = 0);

}  // namespace convoy
