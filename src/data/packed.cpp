#include "src/data/packed.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/data/crops.h"
#include "src/data/packed_layout.h"
#include "src/data/sources.h"
#include "src/io/mapped_file.h"

namespace convoy {

using Json = nlohmann::json;

PackedLayout::PackedLayout(std::uint64_t text_bytes, std::uint64_t samples, std::uint64_t image) {
  images = (packed_text + text_bytes + packed_alignment - 1) / packed_alignment * packed_alignment;
  image_bytes = image;
  labels = images + samples * image;
  end = labels + samples * sizeof(std::int32_t);
}

namespace {

/// A file that was looked through.
struct PackedFile {
  MappedFile file;
  ImageSize size;
  std::vector<std::string> classes;
  std::int64_t train = 0, validation = 0, test = 0;
  std::int64_t count() const { return train + validation + test; }
  std::uint64_t hash = 0;
  PackedLayout layout;

  explicit PackedFile(const std::filesystem::path& path) : file(path), name_(path.string()) {
    const std::uint64_t text_bytes = read_begin();
    const Json header = parse_header(text_bytes);
    try {
      if (const Json& version = header.at("version"); version != 1 && version != packed_version)
        fail("{}: a packed file of version {}; this program reads versions up to {}", name_, version.dump(),
             packed_version);
      size = {header.at("height").get<int>(), header.at("width").get<int>()};
      train = header.at("train").get<std::int64_t>();
      validation = header.at("validation").get<std::int64_t>();
      test = header.value("test", std::int64_t{0});
      classes = header.at("classes").get<std::vector<std::string>>();
    } catch (const Json::exception& error) {
      damaged(error.what());
    }
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    if (train < 1 || validation < 0 || test < 0 || train > most || validation > most - train ||
        test > most - train - validation)
      damaged(fmt::format("{}, {} and {} images", train, validation, test));
    if (size.height < 1 || size.width < 1 || size.height > packed_most_side || size.width > packed_most_side)
      damaged(fmt::format("images of {} x {}", size.height, size.width));
    const auto samples = static_cast<std::uint64_t>(count());  // times an image: below 2^63
    layout = PackedLayout(text_bytes, samples, 3u * static_cast<std::uint64_t>(size.height * size.width));
    if (file.bytes().size() != layout.end)
      damaged(fmt::format("it has {} bytes where {} were written", file.bytes().size(), layout.end));
    check_labels(text_bytes);
  }

  std::span<const std::uint8_t> labels() const {
    return file.bytes().subspan(layout.labels, static_cast<std::size_t>(count()) * sizeof(std::int32_t));
  }
  ImageView image(std::int32_t sample) const {
    return {size.height, size.width,
            file.bytes().data() + layout.images + static_cast<std::uint64_t>(sample) * layout.image_bytes};
  }
  /// Of its pixels and label.
  std::uint64_t hash_of_sample(std::int32_t sample) const {
    const auto pixels = std::span(image(sample).pixels, layout.image_bytes);
    std::int32_t label = 0;
    std::memcpy(&label, labels().data() + static_cast<std::size_t>(sample) * sizeof label, sizeof label);
    return hash_of(std::as_bytes(pixels)) + mix(static_cast<std::uint64_t>(label));
  }

 private:
  [[noreturn]] void damaged(const std::string& why) const {
    fail("{}: a damaged packed file: {}", name_, why);
  }

  std::uint64_t read_begin() {
    const auto bytes = file.bytes();
    if (bytes.size() < packed_magic.size() ||
        std::memcmp(bytes.data(), packed_magic.data(), packed_magic.size()) != 0)
      fail("{}: not a packed file (convoy data pack makes them)", name_);
    if (bytes.size() < packed_text) damaged("it ends within its header");
    std::uint64_t text_bytes = 0;
    std::memcpy(&text_bytes, bytes.data() + 8, sizeof text_bytes);
    std::memcpy(&hash, bytes.data() + 16, sizeof hash);
    if (text_bytes > bytes.size() - packed_text) damaged("its header is longer than the file");
    return text_bytes;
  }

  Json parse_header(std::uint64_t text_bytes) const {
    const auto text = file.bytes().subspan(packed_text, text_bytes);
    Json header = Json::parse(text.begin(), text.end(), nullptr, false);
    if (!header.is_object()) damaged("its header cannot be read");
    return header;
  }

  void check_labels(std::uint64_t text_bytes) const {
    if (packed_hash(std::as_bytes(file.bytes()).subspan(packed_text, text_bytes), std::as_bytes(labels())) !=
        hash)
      damaged("its header and labels are not what was written");
    for (std::size_t i = 0; i < labels().size(); i += sizeof(std::int32_t)) {
      std::int32_t label = 0;
      std::memcpy(&label, labels().data() + i, sizeof label);
      if (label < 0 || label >= std::ssize(classes))
        damaged(fmt::format("label {} of {} classes", label, classes.size()));
    }
  }

  std::string name_;
};

class PackedSource : public ImageSource {
 public:
  PackedSource(std::unique_ptr<const PackedFile> file, std::string name, const DataConfig& config,
               std::uint64_t seed)
      : file_(std::move(file)), name_(std::move(name)), cropper_(config, seed) {}

  void fetch(std::int32_t sample, const Occasion& occasion, std::uint8_t* out) const override {
    cropper_.write(file_->image(sample), cropper_.box(file_->size, sample, occasion), out);
  }
  std::uint64_t fingerprint() const override { return file_->hash; }
  std::optional<std::uint64_t> hash_contents(std::span<const std::int32_t> samples) const override {
    constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30;
    const std::size_t stride = 1 + samples.size() * file_->layout.image_bytes / most_bytes;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < samples.size(); i += stride)
      sum += hash_term(i, file_->hash_of_sample(samples[i]));
    return sum;
  }
  std::string name_of(std::int32_t sample) const override {
    return fmt::format("image {} of {}", sample, name_);
  }
  std::optional<ImageView> picture_of(std::int32_t sample) const override { return file_->image(sample); }

 private:
  std::unique_ptr<const PackedFile> file_;
  std::string name_;
  Cropper cropper_;
};

}  // namespace

std::uint64_t packed_hash(std::span<const std::byte> text, std::span<const std::byte> labels) {
  return hash_of(text) + mix(hash_of(labels));
}

PackedParts read_packed_parts(const std::filesystem::path& path) {
  const PackedFile file(path);
  return {file.train, file.validation, file.test};
}

Dataset read_packed(const DataConfig& config, std::uint64_t seed) {
  auto file = std::make_unique<const PackedFile>(config.path);
  const bool split = config.validation_fraction > 0;
  const bool validates_on_test = !split && file->validation == 0;
  if (validates_on_test && file->test == 0)
    fail_usage(
        "{}: data.validation: {} was packed from a folder without val/ and test/; set "
        "data.validation: 0.1 to validate on a tenth of the training images",
        config.mark.text(), config.path);
  Dataset data;
  data.image = Cropper(config, seed).shape();
  data.classes = static_cast<int>(file->classes.size());
  data.class_names = file->classes;
  data.labels.resize(static_cast<std::size_t>(file->count()));
  std::memcpy(data.labels.data(), file->labels().data(), file->labels().size());
  append_ids(data.train, 0, file->train);
  if (!split) append_ids(data.validation, file->train, file->validation);
  append_ids(data.test, file->train + file->validation, file->test);
  if (validates_on_test) data.validation.swap(data.test);
  if (config.test == DataConfig::Test::none) data.test.clear();
  data.validation_is_test = validates_on_test;
  if (split) split_off_validation(data, config, seed);
  data.source = std::make_shared<PackedSource>(std::move(file), config.path, config, seed);
  return data;
}

}  // namespace convoy
