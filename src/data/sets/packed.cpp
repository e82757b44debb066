// Packed files: a folder of pictures, decoded and resized once (src/data/packed.h).
#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/hash.h"
#include "core/regular_file.h"
#include "src/data/crops.h"
#include "src/data/data_source.h"
#include "src/data/packed_file.h"
#include "src/data/packed_layout.h"
#include "src/data/reading.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// An image is compared with its checksum when it is first read. From then on, only the rows that are shown
/// are read.
class PackedImages : public ImageSource {
 public:
  PackedImages(std::unique_ptr<const PackedFile> file, std::string name, const DataConfig& config,
               std::uint64_t seed)
      : file_(std::move(file)),
        name_(std::move(name)),
        cropper_(config, seed),
        is_checked_(static_cast<std::size_t>(file_->count())) {}

  void fetch(std::int32_t sample, const Occasion& occasion, std::uint8_t* out) const override {
    const std::size_t bytes = file_->image_bytes();
    const std::unique_ptr<std::uint8_t[]> pixels(new std::uint8_t[bytes]);  // not set to zero first
    const ImageSize size = file_->size();
    const Box box = cropper_.box(size, sample, occasion);
    // Two threads that first read the same image at the same time both check it.
    std::atomic<bool>& is_checked = is_checked_[static_cast<std::size_t>(sample)];
    if (is_checked.load(std::memory_order_relaxed)) {
      file_->read_rows(sample, rows_to_resize(size, box, cropper_.size()), {pixels.get(), bytes});
    } else {
      file_->read(sample, {pixels.get(), bytes});
      is_checked.store(true, std::memory_order_relaxed);
    }
    cropper_.write({size.height, size.width, pixels.get()}, box, out);
  }
  std::uint64_t fingerprint() const override { return file_->hash(); }
  const char* contents_kind() const override { return "packed"; }
  /// Of older files without checksums, those of up to 1 GiB of images are read.
  std::optional<std::uint64_t> hash_contents(std::span<const std::int32_t> samples) const override {
    constexpr std::size_t most_bytes = std::size_t{1} << 30;
    if (!file_->has_sums() && samples.size() > most_bytes / file_->image_bytes()) return std::nullopt;
    try {
      std::uint64_t hash = 0;
      for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::int32_t label = file_->labels()[static_cast<std::size_t>(samples[i])];
        hash += hash_term(i, file_->sum_of(samples[i]) + mix(static_cast<std::uint64_t>(label)));
      }
      return hash;
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  std::string name_of(std::int32_t sample) const override {
    return fmt::format("image {} of {}", sample, name_);
  }
  std::optional<Image> picture_of(std::int32_t sample) const override {
    Image image{file_->size().height, file_->size().width, std::vector<std::uint8_t>(file_->image_bytes())};
    file_->read(sample, image.pixels);
    return image;
  }

 private:
  std::unique_ptr<const PackedFile> file_;
  std::string name_;
  Cropper cropper_;
  mutable std::vector<std::atomic<bool>> is_checked_;  ///< (images)
};

class Packed final : public DataSource {
 public:
  Packed() : DataSource(Source::packed) {}

  SourceInfo info(const DataConfig& config) const override {
    const Dataset data = load(config, 0);
    const int train = static_cast<int>(data.train.size()),
              validation = static_cast<int>(data.validation.size());
    const bool split = config.validation_fraction > 0;
    return {data.image, data.classes, split ? train + validation : train, split ? 0 : validation,
            static_cast<int>(data.test.size())};
  }

  /// A rank reads the images of its batches alone, and holds each against its checksum. Throws Error that
  /// names the file for anything but a whole packed file; so does reading an image that is not what was
  /// packed, or is no longer there.
  Dataset load(const DataConfig& config, std::uint64_t seed) const override {
    auto file = std::make_unique<const PackedFile>(config.path);
    const bool split = config.validation_fraction > 0;
    const bool validates_on_test = !split && file->validation() == 0;
    if (validates_on_test && file->test() == 0)
      fail_usage(
          "{}: data.validation: {} was packed from a folder without val/ and test/; set "
          "data.validation: 0.1 to validate on a tenth of the training images",
          config.mark.text(), config.path);
    Dataset data;
    data.image = Cropper(config, seed).shape();
    data.classes = static_cast<int>(file->classes().size());
    data.class_names = file->classes();
    data.labels = file->labels();
    append_ids(data.train, 0, file->train());
    if (!split) append_ids(data.validation, file->train(), file->validation());
    append_ids(data.test, file->train() + file->validation(), file->test());
    if (validates_on_test) data.validation.swap(data.test);
    if (config.test == DataConfig::Test::none) data.test.clear();
    data.validation_is_test = validates_on_test;
    if (split) split_off_validation(data, config, seed);
    if (!file->has_sums())
      data.warning = fmt::format(
          "{}: a packed file of version {} has no checksums of its images, so damage is not detected; pack "
          "the folder again with `convoy data pack`",
          config.path, file->version());
    data.source = std::make_shared<PackedImages>(std::move(file), config.path, config, seed);
    return data;
  }

  std::vector<std::string> class_names() const override { return {}; }
  Published published() const override { return {}; }

  Match match(const fs::path& path) const override {
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) return Match::no;  // of anything else its reader says what it is
    std::array<char, packed_magic.size()> begin{};
    RegularFile(path).read_up_to(0, std::as_writable_bytes(std::span(begin)));
    return begin == packed_magic ? Match::sure : Match::no;
  }
  bool sets_apart(const fs::path& path) const override {
    const PackedFile file(path);
    return file.validation() + file.test() > 0;
  }

  std::string drawn_from(const DataConfig&, std::uint64_t) const override { return {}; }

  Verification verify(const DataConfig& config, int threads) const override {
    const PackedFile file(config.path);
    Verification result;
    result.images = file.count();
    if (!file.has_sums())
      result.note =
          fmt::format("; a file of version {} has checksums of its header and labels alone", file.version());
    std::atomic<std::int64_t> next{0};
    std::mutex mutex;  // of `result`
    const auto work = [&] {
      std::vector<std::uint8_t> pixels(file.image_bytes());
      for (std::int64_t sample; (sample = next++) < file.count();) {
        try {
          file.read(static_cast<std::int32_t>(sample), pixels);
        } catch (const Error& error) {
          const std::lock_guard lock(mutex);
          ++result.damaged;
          if (result.problems.size() < Verification::most_problems)
            result.problems.emplace_back(error.what());
        }
      }
    };
    std::vector<std::jthread> helpers;
    for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
    helpers.clear();  // waits for them
    return result;
  }
};

}  // namespace

namespace sets {

const DataSource& packed() {
  static const Packed set;
  return set;
}

}  // namespace sets

}  // namespace convoy
