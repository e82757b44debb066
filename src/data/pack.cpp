// Makes packed files.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/log.h"
#include "core/reason.h"
#include "src/data/folder.h"
#include "src/data/packed.h"
#include "src/data/packed_layout.h"
#include "src/io/atomic_file.h"
#include "src/io/resize.h"

namespace convoy {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::span<const std::byte> as_bytes(const Bytes& bytes) {
  return std::as_bytes(std::span(bytes));
}

/// Decodes pictures [first, first + rows.size()) of the listing, several at a time; a broken one gives an
/// empty row.
void decode_rows(const FolderListing& listing, std::int64_t first, int size, int threads,
                 std::vector<Bytes>& rows, std::vector<std::string>& problems) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i; (i = next++) < rows.size();) {
      const auto path = listing.file(static_cast<std::int32_t>(first + static_cast<std::int64_t>(i)));
      rows[i].clear();
      try {
        const auto middle = [&](ImageSize picture) { return centre_box(picture, size, {size, size}); };
        const ImagePart part = decode_part(read_image_file(path), path.string(), middle, {size, size});
        if (part.image.lacks_end) log_warn("{}: {}", path.string(), end_is_missing);
        rows[i] = resized(part.image, part.box, {size, size}).pixels;
      } catch (const std::exception& error) {
        problems[i] = reason_of(error);
      }
    }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
}

}  // namespace

PackSummary pack_folder(const std::filesystem::path& folder, const std::filesystem::path& path,
                        const PackOptions& options) {
  std::error_code ignored;
  const FolderLayout parts = folder_layout(folder);
  if (std::filesystem::is_directory(path, ignored))
    fail("{}: a folder, where the packed file would be written", path.string());
  const FolderListing listing = list_folder(folder, parts);
  if (!listing.warning.empty()) log_warn("{}", listing.warning);
  const auto count = std::ssize(listing.files);
  const auto image_bytes =
      static_cast<std::uint64_t>(options.size) * static_cast<std::uint64_t>(options.size) * 3;

  // How many are broken is known at the end alone: the header gets room for any outcome.
  const auto header_of = [&](std::int64_t train, std::int64_t validation, std::int64_t test) {
    return nlohmann::json{{"version", packed_version},
                          {"height", options.size},
                          {"width", options.size},
                          {"classes", listing.classes},
                          {"train", train},
                          {"validation", validation},
                          {"test", test}}
        .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  };
  const std::size_t text_bytes = header_of(count, count, count).size();
  const PackedLayout layout(text_bytes, static_cast<std::uint64_t>(count), image_bytes, true);

  AtomicFile file(path);
  file.write(std::vector<std::byte>(layout.images));  // the header, once all is known
  PackSummary summary;
  summary.classes = static_cast<int>(listing.classes.size());
  std::vector<std::int32_t> labels;
  std::vector<std::uint64_t> sums;
  constexpr std::int64_t rows_at_once = 64;
  std::vector<Bytes> rows;
  for (std::int64_t first = 0; first < count; first += rows_at_once) {
    rows.resize(static_cast<std::size_t>(std::min(rows_at_once, count - first)));
    std::vector<std::string> problems(rows.size());
    decode_rows(listing, first, options.size, options.threads, rows, problems);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::int64_t sample = first + static_cast<std::int64_t>(i);
      if (!problems[i].empty()) {
        if (++summary.left_out > options.max_bad)
          fail("{} ({} broken picture{}; --max-bad allows {})", problems[i], summary.left_out,
               summary.left_out == 1 ? "" : "s", options.max_bad);
        log_warn("{}; left out", problems[i]);
        continue;
      }
      file.write(as_bytes(rows[i]));
      sums.push_back(packed_image_hash(as_bytes(rows[i])));
      labels.push_back(listing.labels[static_cast<std::size_t>(sample)]);
      ++(sample < listing.train                        ? summary.train
         : sample < listing.train + listing.validation ? summary.validation
                                                       : summary.test);
    }
    if (options.progress) options.progress(first + std::ssize(rows), count);
  }
  if (summary.train == 0 || (listing.validation > 0 && summary.validation == 0))
    fail("{}: nothing is left to pack", folder.string());
  std::vector<std::byte> behind(labels.size() * sizeof labels[0] + sums.size() * sizeof sums[0]);
  std::memcpy(behind.data(), labels.data(), labels.size() * sizeof labels[0]);
  std::memcpy(behind.data() + labels.size() * sizeof labels[0], sums.data(), sums.size() * sizeof sums[0]);
  file.write(behind);
  std::string text = header_of(summary.train, summary.validation, summary.test);
  text.resize(text_bytes, ' ');
  const std::uint64_t facts[] = {text_bytes, packed_hash(std::as_bytes(std::span(text)), behind)};
  file.overwrite(0, std::as_bytes(std::span(packed_magic)));
  file.overwrite(packed_magic.size(), std::as_bytes(std::span(facts)));
  file.overwrite(packed_text, std::as_bytes(std::span(text)));
  file.commit();
  summary.bytes = PackedLayout(text_bytes, labels.size(), image_bytes, true).end;
  return summary;
}

}  // namespace convoy
