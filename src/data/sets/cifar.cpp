// The binary version of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html): records of one
// label byte (coarse, then fine, for CIFAR-100) and 3072 pixel bytes, a plane each of red, green and blue.
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/data/data_source.h"
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
  std::string expected;      ///< in the folder
  std::int64_t record() const { return static_cast<std::int64_t>(classes.size()) + image_bytes; }
};

std::vector<std::uint8_t> read_records(const fs::path& path, const Layout& layout, const std::string& hint) {
  std::error_code error;
  if (!fs::exists(path, error))
    fail("{}: not there; data.path should hold {}{}", path.string(), layout.expected, hint);
  const RegularFile file(path);
  const auto size = static_cast<std::int64_t>(file.size());
  const std::int64_t record = layout.record(), rest = size % record;
  if (size == 0 || rest != 0) {
    fail(
        "{}: {} bytes are not a whole number of records of {} bytes: record {} at byte {} is truncated, or "
        "this is another kind of file",
        path.string(), size, record, size / record, size - rest);
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// Appends a file's records to `data` and returns their number.
std::int64_t append_file(Dataset& data, const fs::path& path, const Layout& layout, const std::string& hint) {
  const std::vector<std::uint8_t> bytes = read_records(path, layout, hint);
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

bool has_file(const fs::path& folder, const char* name) {
  std::error_code ignored;
  return fs::exists(folder / name, ignored);
}

class CifarSource : public ResidentSource {
 public:
  CifarSource(Source source, Layout layout, std::vector<std::string> class_names, Published published)
      : ResidentSource(source),
        layout_(std::move(layout)),
        class_names_(std::move(class_names)),
        published_(std::move(published)) {}

  std::vector<std::string> class_names() const final { return class_names_; }
  Published published() const final { return published_; }
  std::string drawn_from(const DataConfig&, std::uint64_t) const final { return {}; }

 protected:
  SetSizes sizes(const DataConfig&) const final {
    return {
        .image = {1, side, side, channels}, .classes = layout_.classes.back(), .train = 50000, .test = 10000};
  }

  Dataset read(const DataConfig& config, std::uint64_t, bool test) const final {
    const fs::path folder = config.path;
    const std::string hint = fetch_hint(config.path);
    check_folder(folder, layout_.expected + hint);
    Dataset data;
    data.image = {1, side, side, channels};
    data.classes = layout_.classes.back();
    for (const char* name : layout_.train) append_file(data, folder / name, layout_, hint);
    append_ids(data.train, 0, static_cast<std::int64_t>(data.labels.size()));
    if (test) {
      const auto first = static_cast<std::int64_t>(data.labels.size());
      append_ids(data.validation, first, append_file(data, folder / layout_.test, layout_, hint));
    }
    return data;
  }

 private:
  Layout layout_;
  std::vector<std::string> class_names_;
  Published published_;
};

class Cifar10 final : public CifarSource {
 public:
  Cifar10()
      : CifarSource(
            Source::cifar10,
            {.train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                       "data_batch_5.bin"},
             .test = "test_batch.bin",
             .classes = {10},
             .expected =
                 "data_batch_1.bin to data_batch_5.bin and test_batch.bin, the binary version of CIFAR-10"},
            // batches.meta.txt
            {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
            {{"https://www.cs.toronto.edu/~kriz"},
             {{"cifar-10-binary.tar.gz",
               "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
               {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                "data_batch_5.bin", "test_batch.bin"}}}}) {}

  Match match(const fs::path& path) const override {
    if (has_file(path, "data_batch_1.bin")) return Match::sure;
    if (has_file(path, "data_batch_1"))
      fail("{}: the Python version of CIFAR-10; Convoy reads the binary one: convoy data fetch cifar10",
           path.string());
    return Match::no;
  }
};

class Cifar100 final : public CifarSource {
 public:
  Cifar100()
      : CifarSource(
            Source::cifar100,
            {.train = {"train.bin"},
             .test = "test.bin",
             .classes = {20, 100},
             .expected = "train.bin and test.bin, the binary version of CIFAR-100"},
            // fine_label_names.txt
            {"apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
             "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
             "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
             "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
             "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
             "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
             "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
             "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
             "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
             "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
             "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
             "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
             "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
             "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
             "table",       "tank",          "telephone", "television", "tiger",        "tractor",
             "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
             "willow_tree", "wolf",          "woman",     "worm"},
            {{"https://www.cs.toronto.edu/~kriz"},
             {{"cifar-100-binary.tar.gz",
               "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
               {"train.bin", "test.bin"}}}}) {}

  Match match(const fs::path& path) const override {
    return has_file(path, "train.bin") && has_file(path, "test.bin") ? Match::sure : Match::no;
  }
};

}  // namespace

namespace sets {

const DataSource& cifar10() {
  static const Cifar10 set;
  return set;
}

const DataSource& cifar100() {
  static const Cifar100 set;
  return set;
}

}  // namespace sets

}  // namespace convoy
