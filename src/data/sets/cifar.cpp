// The binary version of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html): records of one
// label byte (coarse, then fine, for CIFAR-100) and 3072 pixel bytes, a plane each of red, green and blue.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/data/reading.h"

namespace convoy {

namespace {

namespace fs = std::filesystem;

constexpr int side = 32, channels = 3;
constexpr std::int64_t plane = side * side, image_bytes = plane * channels;

struct Layout {
  std::vector<const char*> train;
  const char* test;
  std::vector<int> classes;  ///< of each label byte; the last one counts
  std::string expected;
  std::int64_t record() const { return static_cast<std::int64_t>(classes.size()) + image_bytes; }
};

std::vector<std::uint8_t> read_records(const fs::path& path, const Layout& layout) {
  std::error_code error;
  if (!fs::exists(path, error))
    fail("{}: not there; data.path should hold {}", path.string(), layout.expected);
  const RegularFile file(path);
  const auto size = static_cast<std::int64_t>(file.size());
  const std::int64_t record = layout.record(), rest = size % record;
  if (size == 0 || rest != 0) {
    fail(
        "{}: {} bytes are not a whole number of records of {} bytes: record {} at byte {} is truncated, or "
        "this is "
        "another kind of file",
        path.string(), size, record, size / record, size - rest);
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// Appends a file's records to `data` and returns their number.
std::int64_t append_file(Dataset& data, const fs::path& path, const Layout& layout) {
  const std::vector<std::uint8_t> bytes = read_records(path, layout);
  const std::int64_t record = layout.record(), count = static_cast<std::int64_t>(bytes.size()) / record;
  const std::size_t before = data.images.size();
  data.images.resize(before + static_cast<std::size_t>(count * image_bytes));
  std::uint8_t* out = data.images.data() + before;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint8_t* in = bytes.data() + i * record;
    for (const int classes : layout.classes) {
      if (*in >= classes) {
        fail("{}: record {} at byte {}: label {} is not in 0..{}", path.string(), i, in - bytes.data(), *in,
             classes - 1);
      }
      ++in;
    }
    data.labels.push_back(in[-1]);
    for (std::int64_t pixel = 0; pixel < plane; ++pixel) {
      for (int c = 0; c < channels; ++c) *out++ = in[c * plane + pixel];
    }
  }
  return count;
}

Dataset read_cifar(const fs::path& folder, const Layout& layout, bool test) {
  check_folder(folder, layout.expected);
  Dataset data;
  data.image = {1, side, side, channels};
  data.classes = layout.classes.back();
  for (const char* name : layout.train) append_file(data, folder / name, layout);
  append_ids(data.train, 0, static_cast<std::int64_t>(data.labels.size()));
  if (test) {
    const auto first = static_cast<std::int64_t>(data.labels.size());
    append_ids(data.validation, first, append_file(data, folder / layout.test, layout));
  }
  return data;
}

}  // namespace

Dataset read_cifar10(const fs::path& folder, bool test, const std::string& hint) {
  const Layout layout{
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      "test_batch.bin",
      {10},
      "data_batch_1.bin to data_batch_5.bin and test_batch.bin, the binary version of CIFAR-10" + hint};
  return read_cifar(folder, layout, test);
}

Dataset read_cifar100(const fs::path& folder, bool test, const std::string& hint) {
  const Layout layout{
      {"train.bin"}, "test.bin", {20, 100}, "train.bin and test.bin, the binary version of CIFAR-100" + hint};
  return read_cifar(folder, layout, test);
}

}  // namespace convoy
