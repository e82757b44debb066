#include "src/data/recognise.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <optional>
#include <span>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/data/folder.h"
#include "src/data/packed.h"
#include "src/data/packed_layout.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

bool is_packed(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored))
    return false;  // of anything else the configuration's reader says what it is
  std::array<char, packed_magic.size()> begin{};
  RegularFile(path).read_up_to(0, std::as_writable_bytes(std::span(begin)));
  return begin == packed_magic;
}

/// Of sets whose files have names of their own.
std::optional<Source> source_by_names(const fs::path& folder) {
  const auto has = [&](const char* name) {
    std::error_code ignored;
    return fs::exists(folder / name, ignored);
  };
  for (const char* name : {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte",
                           "train-images.idx3-ubyte.gz"}) {
    if (!has(name)) continue;
    std::string text = fs::absolute(folder).string();  // MNIST's look-alikes have its names
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text.find("fashion") != std::string::npos ? Source::fashion_mnist : Source::mnist;
  }
  if (has("data_batch_1.bin")) return Source::cifar10;
  if (has("train.bin") && has("test.bin")) return Source::cifar100;
  if (has("data_batch_1"))
    fail("{}: the Python version of CIFAR-10; Convoy reads the binary one: convoy data fetch cifar10",
         folder.string());
  return std::nullopt;
}

/// The folder itself, then those in it, then those in these.
std::optional<DataConfig> find_named_set(const fs::path& folder, int depth) {
  DataConfig data;
  if (const std::optional<Source> source = source_by_names(folder)) {
    data.source = *source;
    data.path = folder.string();
    return data;
  }
  if (depth == 0) return std::nullopt;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored)) continue;
    if (const auto found = find_named_set(it->path(), depth - 1)) return found;
  }
  return std::nullopt;
}

}  // namespace

bool is_data(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) || is_packed(path);
}

DataConfig recognise_data(const fs::path& path) {
  constexpr double share = 0.1;
  DataConfig data;
  data.path = path.string();
  data.mark.source = std::make_shared<const std::string>(data.path);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    data.source = Source::packed;
    const PackedParts parts = read_packed_parts(path);
    if (parts.validation + parts.test == 0) data.validation_fraction = share;
    return data;
  }
  data.source = Source::folder;
  const FolderLayout layout = folder_layout(path);
  if (layout.flat) {
    constexpr int depth = 2;
    if (const auto named = find_named_set(path, depth)) return *named;
  }
  if (layout.validation.empty() && layout.test.empty()) data.validation_fraction = share;
  return data;
}

}  // namespace convoy
