// Files that a test writes itself, and the message of the error that reading them leads to.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "src/data/dataset.h"
#include "tests/temporary_folder.h"

namespace convoy::testing {

inline void append_big_endian(Bytes& bytes, std::uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}
/// An IDX file of images whose bytes count up from `from`, and one of labels.
inline Bytes idx_images(int count, int height, int width, int from) {
  Bytes bytes;
  for (const int value : {0x803, count, height, width})
    append_big_endian(bytes, static_cast<std::uint32_t>(value));
  for (int i = 0; i < count * height * width; ++i) bytes.push_back(static_cast<std::uint8_t>(from + i));
  return bytes;
}
inline Bytes idx_labels(const Bytes& values) {
  Bytes bytes;
  append_big_endian(bytes, 0x801);
  append_big_endian(bytes, static_cast<std::uint32_t>(values.size()));
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

inline DataConfig data_config(Source source, const std::filesystem::path& path) {
  DataConfig config;
  config.source = source;
  config.path = path.string();
  return config;
}

/// What `work` complains of; "no error" when it does not. `code` is the exit code it must lead to.
template <class Work>
std::string message_of(Work&& work, ExitCode code = ExitCode::failure) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "no error";
}

/// The same for reading a data set.
inline std::string message_of_loading(const DataConfig& config, ExitCode code = ExitCode::failure) {
  return message_of([&] { load_dataset(config, 1); }, code);
}

inline void expect_contains(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nis not in\n" << text;
}

}  // namespace convoy::testing
