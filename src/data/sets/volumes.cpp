// Arrays of NumPy in one file, with the names that MedMNIST gives them (J. Yang et al., "MedMNIST v2",
// Scientific Data 10, 2023): train_images and train_labels, val_..., test_...; images (N,H,W), (N,H,W,C),
// (N,D,H,W) or (N,D,H,W,C) of unsigned bytes, labels (N) or (N,1).
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>

#include "core/error.h"
#include "src/data/data_source.h"
#include "src/data/reading.h"
#include "src/io/npy.h"
#include "src/io/zip.h"

namespace convoy {

namespace {

namespace fs = std::filesystem;

enum Section : std::size_t { training, validating, testing };
constexpr std::array<const char*, 3> section_names{"train", "val", "test"};

/// A last axis of so many or fewer elements is the channels of a picture; a longer one the columns of a
/// volume.
constexpr std::int64_t most_channels = 4;

/// (N,...) as the shape of an image.
FeatureShape image_shape(const NpyArray& images, const std::string& name) {
  const std::vector<std::int64_t>& s = images.shape;
  if (images.type != "u1")
    fail(
        "{}: pixels are numbers from 0 to 255 in one byte each (uint8), not {}; convert them with "
        ".astype('uint8')",
        name, images.type);
  if (s.size() < 3 || s.size() > 5 ||
      std::any_of(s.begin(), s.end(), [](std::int64_t extent) { return extent < 1; }))
    fail("{}: expected the shape (N,H,W), (N,H,W,C), (N,D,H,W) or (N,D,H,W,C), got {} axes", name, s.size());
  if (std::any_of(s.begin(), s.end(),
                  [](std::int64_t extent) { return extent > 65536 && extent > INT32_MAX; }))
    fail("{}: has too large an axis", name);
  const auto at = [&](std::size_t axis) { return static_cast<int>(s[axis]); };
  if (s.size() == 3) return {1, at(1), at(2), 1};
  if (s.size() == 5) return {at(1), at(2), at(3), at(4)};
  return s[3] <= most_channels ? FeatureShape{1, at(1), at(2), at(3)} : FeatureShape{at(1), at(2), at(3), 1};
}

/// The file of data.path, which may also be the only one of its kind in a folder.
fs::path find_file(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    if (entry.path().extension() == ".npz") found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  fail("{}: holds {} files that end in .npz; data.path should name one", path.string(), found.size());
}

class Archive {
 public:
  /// Of images the headers alone where `whole` is false.
  Archive(const fs::path& path, bool whole) : path_(find_file(path)), whole_(whole) {
    constexpr std::uint64_t header = 4096;
    const SharedBytes bytes = read_shared(RegularFile(path_));
    if (!is_zip(bytes)) fail("{}: is no archive of NumPy (.npz)", path_.string());
    members_ = inflated_members(bytes, path_.string(), [&](const std::string& member) {
      return whole || !member.ends_with("_images.npy") ? UINT64_MAX : header;
    });
  }
  bool has(Section section) const { return members_.contains(file_of(section, "images")); }
  std::string name_of(Section section, const char* what) const {
    return path_.string() + ": " + section_names[section] + "_" + what;
  }
  /// Without values where `whole` is false.
  NpyArray images(Section section) const { return array(section, "images", whole_); }
  NpyArray labels(Section section) const { return array(section, "labels", true); }

 private:
  NpyArray array(Section section, const char* what, bool whole) const {
    const auto found = members_.find(file_of(section, what));
    if (found == members_.end()) fail("{}: has no array {}_{}", path_.string(), section_names[section], what);
    return read_npy(found->second, name_of(section, what), whole);
  }
  static std::string file_of(Section section, const char* what) {
    return std::string(section_names[section]) + "_" + what + ".npy";
  }

  fs::path path_;
  bool whole_;
  std::map<std::string, SharedBytes> members_;
};

/// What serves for what, besides train_...
struct Parts {
  std::optional<Section>
      validation;     ///< val_..., where there is none test_...; none where a share is split off
  bool test = false;  ///< test_... is measured on at the end
};
Parts parts_of(const Archive& archive, const DataConfig& config) {
  Parts parts;
  const bool split = config.validation_fraction > 0;
  if (!split) parts.validation = archive.has(validating) ? validating : testing;
  if (!split && !archive.has(*parts.validation))
    fail(
        "{}: has no array val_images or test_images to validate on; set data.validation to a share of the "
        "training set",
        config.path);
  parts.test =
      archive.has(testing) && parts.validation != testing && config.test == DataConfig::Test::automatic;
  return parts;
}

std::vector<std::int64_t> labels_of(const Archive& archive, Section section, std::int64_t images) {
  const std::string name = archive.name_of(section, "labels");
  const NpyArray array = archive.labels(section);
  const bool several = array.shape.size() == 2 && array.shape[1] > 1;
  if (several) fail("{}: has {} labels for each image; Convoy trains on one", name, array.shape[1]);
  std::vector<std::int64_t> labels = integers_of(array, name);
  if (std::ssize(labels) != images) fail("{}: has {} labels for {} images", name, labels.size(), images);
  for (const std::int64_t label : labels) {
    if (label < 0 || label > INT32_MAX / 2) fail("{}: has the label {}", name, label);
  }
  return labels;
}

class Volumes final : public DataSource {
 public:
  Volumes() : DataSource(Source::volumes) {}

  SourceInfo info(const DataConfig& config) const override {
    const Archive headers(config.path, false);
    const Parts parts = parts_of(headers, config);
    std::int64_t largest = 0;  // labels say how many classes there are
    SourceInfo info{};
    const auto count = [&](Section section) {
      const NpyArray images = headers.images(section);
      info.image = image_shape(images, headers.name_of(section, "images"));
      const std::vector<std::int64_t> labels = labels_of(headers, section, images.shape[0]);
      largest = std::max(largest, *std::max_element(labels.begin(), labels.end()));
      return static_cast<int>(images.shape[0]);
    };
    info.train = count(training);
    if (parts.validation) info.validation = count(*parts.validation);
    if (parts.test) info.test = count(testing);
    info.classes = static_cast<int>(largest + 1);
    return info;
  }

  Dataset load(const DataConfig& config, std::uint64_t seed) const override {
    const Archive archive(config.path, true);
    const Parts parts = parts_of(archive, config);
    Dataset data;
    append(data, archive, training, data.train);
    if (parts.validation) append(data, archive, *parts.validation, data.validation);
    if (parts.test) append(data, archive, testing, data.test);
    data.validation_is_test = parts.validation == testing;
    data.classes = 1 + *std::max_element(data.labels.begin(), data.labels.end());
    if (!parts.validation) split_off_validation(data, config, seed);
    return data;
  }

  std::vector<std::string> class_names() const override { return {}; }
  Published published() const override { return {}; }
  Match match(const fs::path& path) const override {
    std::error_code ignored;
    return path.extension() == ".npz" && fs::is_regular_file(path, ignored) ? Match::sure : Match::no;
  }
  bool sets_apart(const fs::path& path) const override {
    const Archive archive(path, false);
    return archive.has(validating) || archive.has(testing);
  }
  std::string drawn_from(const DataConfig&, std::uint64_t) const override { return {}; }
  Verification verify(const DataConfig& config, int) const override {
    Verification result;
    result.images = std::ssize(load(config, 1).labels);  // or an Error: the archive has checksums
    return result;
  }

 private:
  static void append(Dataset& data, const Archive& archive, Section section, std::vector<std::int32_t>& ids) {
    const NpyArray images = archive.images(section);
    const std::string name = archive.name_of(section, "images");
    const FeatureShape image = image_shape(images, name);
    if (data.images.empty()) data.image = image;
    if (image != data.image)
      fail("{}: images are {}, those of train_images {}", name, to_string(image), to_string(data.image));
    const std::vector<std::int64_t> labels = labels_of(archive, section, images.shape[0]);
    append_ids(ids, std::ssize(data.labels), std::ssize(labels));
    for (const std::int64_t label : labels) data.labels.push_back(static_cast<std::int32_t>(label));
    const auto* pixels = reinterpret_cast<const std::uint8_t*>(images.values.data());
    data.images.insert(data.images.end(), pixels, pixels + images.values.size());
  }
};

}  // namespace

namespace sets {

const DataSource& volumes() {
  static const Volumes set;
  return set;
}

}  // namespace sets

}  // namespace convoy
