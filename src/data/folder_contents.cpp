#include "src/data/folder_contents.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/hash.h"
#include "core/regular_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

struct Named {
  std::uint64_t name = 0;  ///< hash of label and name
  std::int32_t sample = 0;
};

std::optional<std::uint64_t> hash_of_size(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return std::nullopt;
  return hash_term(1, size);
}

std::optional<std::uint64_t> hash_of_beginning(const fs::path& path) {
  try {
    std::vector<std::byte> bytes(std::size_t{128} << 10);
    bytes.resize(RegularFile(path).read_up_to(0, bytes));
    return hash_of(bytes);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The sum over `files`, several at a time: a file system far away takes its time for each.
template <class Hash>
std::optional<std::uint64_t> sum_over(const FolderListing& listing, std::span<const Named> files,
                                      const Hash& hash) {
  constexpr std::size_t files_per_thread = 64, most_threads = 8;
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> sum{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    for (std::size_t i; !failed && (i = next++) < files.size();) {
      const std::optional<std::uint64_t> one = hash(listing.file(files[i].sample));
      if (one)
        sum += hash_term(files[i].name, *one);
      else
        failed = true;
    }
  };
  {
    std::vector<std::jthread> helpers;
    const std::size_t threads = std::min(most_threads, files.size() / files_per_thread);
    for (std::size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
  }
  return failed ? std::nullopt : std::optional(sum.load());
}

}  // namespace

std::optional<std::uint64_t> hash_of_pictures(const FolderListing& listing,
                                              std::span<const std::int32_t> samples) {
  constexpr std::size_t most_sizes = 65536, most_read = 512;
  std::vector<Named> files;
  std::uint64_t names = 0;
  for (const std::int32_t sample : samples) {
    const auto label = static_cast<std::uint64_t>(listing.labels[static_cast<std::size_t>(sample)]);
    files.push_back({hash_term(label, hash_of(std::string(listing.name_in_class(sample)))), sample});
    names += mix(files.back().name);
  }
  const std::size_t sizes = std::min(most_sizes, files.size()), read = std::min(most_read, files.size());
  // The hashes' order is the draw.
  const auto earlier = [](const Named& a, const Named& b) { return a.name < b.name; };
  std::nth_element(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(sizes), files.end(), earlier);
  std::sort(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(sizes), earlier);
  const std::span<const Named> drawn = files;
  const auto of_sizes = sum_over(listing, drawn.first(sizes), hash_of_size);
  if (!of_sizes) return std::nullopt;
  const auto of_bytes = sum_over(listing, drawn.first(read), hash_of_beginning);
  if (!of_bytes) return std::nullopt;
  return names + mix(*of_sizes) + mix(mix(*of_bytes));
}

}  // namespace convoy
