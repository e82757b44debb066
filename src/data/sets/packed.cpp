#include "src/data/packed.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "core/hash.h"
#include "src/data/crops.h"
#include "src/data/packed_file.h"
#include "src/data/reading.h"

namespace convoy {
namespace {

class PackedSource : public ImageSource {
 public:
  PackedSource(std::unique_ptr<const PackedFile> file, std::string name, const DataConfig& config,
               std::uint64_t seed)
      : file_(std::move(file)), name_(std::move(name)), cropper_(config, seed) {}

  void fetch(std::int32_t sample, const Occasion& occasion, std::uint8_t* out) const override {
    const std::size_t bytes = file_->image_bytes();
    const std::unique_ptr<std::uint8_t[]> pixels(new std::uint8_t[bytes]);  // not set to zero first
    file_->read(sample, {pixels.get(), bytes});
    const ImageSize size = file_->size();
    cropper_.write({size.height, size.width, pixels.get()}, cropper_.box(size, sample, occasion), out);
  }
  std::uint64_t fingerprint() const override { return file_->hash(); }
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
};

}  // namespace

PackedParts read_packed_parts(const std::filesystem::path& path) {
  const PackedFile file(path);
  return {file.train(), file.validation(), file.test()};
}

PackedCheck check_packed(const std::filesystem::path& path, int threads) {
  const PackedFile file(path);
  PackedCheck result{file.version(), file.has_sums(), file.count(), 0, {}};
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
        if (result.problems.size() < PackedCheck::most_problems) result.problems.emplace_back(error.what());
      }
    }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  helpers.clear();  // waits for them
  return result;
}

Dataset read_packed(const DataConfig& config, std::uint64_t seed) {
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
        "{}: a packed file of version {}, without checksums of its images: damage to them is not seen; "
        "convoy data "
        "pack makes one with checksums of the same folder",
        config.path, file->version());
  data.source = std::make_shared<PackedSource>(std::move(file), config.path, config, seed);
  return data;
}

}  // namespace convoy
