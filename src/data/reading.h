// One reader per kind of source. Each fills in images, labels and which samples are for training and, as
// `validation`, which for testing; with `test` false the test files are neither opened nor needed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/random.h"
#include "src/data/dataset.h"

namespace convoy {

/// Procedural 28x28 glyphs of the ten digits: 60,000 to train on, 10,000 to test, every class equally often.
/// A sample is a function of seed and index.
Dataset draw_digits(std::uint64_t seed, bool test);

/// Bytes of noise with random labels, all uniform: of any shape and size, for speed and memory where the
/// files are not at hand. A sample is a function of seed and index.
Dataset draw_noise(const SyntheticConfig& config, std::uint64_t seed, bool test);

/// MNIST and its look-alikes: four IDX files, plain or gzipped. `hint` ends messages of missing files.
Dataset read_idx(const std::filesystem::path& folder, bool test, const std::string& hint = {});

/// The binary layout of CIFAR-10 and CIFAR-100 (for which the fine label counts).
Dataset read_cifar10(const std::filesystem::path& folder, bool test, const std::string& hint = {});
Dataset read_cifar100(const std::filesystem::path& folder, bool test, const std::string& hint = {});

/// Moves a random share of the training ids, data.validation, to validation, of each class its share; both
/// stay in rising order.
/// Throws Error (exit code 2) when one of them gets nothing.
void split_off_validation(Dataset& data, const DataConfig& config, std::uint64_t seed);

/// Appends the ids of samples [first, first + count).
void append_ids(std::vector<std::int32_t>& ids, std::int64_t first, std::int64_t count);

/// Throws what a reader says when `folder` is not one: what was expected there.
void check_folder(const std::filesystem::path& folder, const std::string& expected);

/// Fisher-Yates with random4(seed, purpose, stream, position).
void shuffle(std::vector<std::int32_t>& ids, std::uint64_t seed, Purpose purpose, std::uint32_t stream);

}  // namespace convoy
