// Packed files: made of folders, read as data sets, damaged.
#include "src/data/packed.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>

#include "core/hash.h"
#include "src/data/data_source.h"
#include "src/data/packed_layout.h"
#include "src/io/resize.h"
#include "tests/data/picture_folder.h"

namespace convoy::testing {
namespace {

class Packed : public ::testing::Test {
 protected:
  DataConfig config() const {
    DataConfig config = data_config(Source::packed, folder.path() / "all.packed");
    config.input = {3, 24, 20};
    return config;
  }
  PackSummary pack(int max_bad = 0, int threads = 2) const {
    return pack_folder(folder.path(), config().path, {32, max_bad, threads, {}});
  }
  /// What reading the file says after `change`.
  template <class Change>
  std::string problem_after(Change&& change, ExitCode code = ExitCode::failure) const {
    Bytes bytes = folder.read("all.packed");
    change(bytes);
    folder.write("changed", bytes);
    DataConfig changed = config();
    changed.path = (folder.path() / "changed").string();
    return message_of_loading(changed, code);
  }

  const PictureFolder folder{3, 5, 2};
};

TEST_F(Packed, HoldsTheMiddleOfEveryPicture) {
  const PackSummary summary = pack();
  EXPECT_EQ(summary.train, 15);
  EXPECT_EQ(summary.validation, 6);
  EXPECT_EQ(summary.classes, 3);
  EXPECT_EQ(summary.left_out, 0);
  EXPECT_EQ(summary.bytes, std::filesystem::file_size(config().path));
  DataConfig wanted = config();
  wanted.input = {3, 32, 32};
  wanted.resize = 32;
  const Dataset packed = load_dataset(wanted, 1);
  const Dataset listed = load_dataset(folder.config(), 1);
  EXPECT_EQ(packed.labels, listed.labels);
  EXPECT_EQ(packed.class_names, listed.class_names);
  EXPECT_EQ(packed.train, listed.train);
  EXPECT_EQ(packed.validation, listed.validation);
  for (const std::int32_t sample : {0, 7, 20}) {
    const Image picture = read_image(listed.source->name_of(sample));
    EXPECT_EQ(image_of(packed, sample, {}),
              resized(picture, centre_box(picture.size(), 32, {32, 32}), {32, 32}).pixels);
  }
}

TEST_F(Packed, HoldsATestPartAndSplitsTheTrainingPart) {
  for (int kind = 0; kind < 3; ++kind) folder.add(fmt::format("test/class{}/9.jpg", kind), kind, 4);
  EXPECT_EQ(pack().test, 3);
  EXPECT_TRUE(data_source(Source::packed).sets_apart(config().path));
  const Dataset data = load_dataset(config(), 1);
  EXPECT_EQ(data.validation.size(), 6u);
  EXPECT_EQ(data.test, (std::vector<std::int32_t>{21, 22, 23}));
  EXPECT_EQ(data.labels[22], 1);
  DataConfig fraction = config();
  fraction.validation_fraction = 0.2;
  const Dataset split = load_dataset(fraction, 1);
  EXPECT_EQ(split.train.size(), 12u);
  EXPECT_EQ(split.validation.size(), 3u);
  EXPECT_EQ(split.test, data.test);
  std::filesystem::remove_all(folder.path() / "val");
  pack();
  const Dataset tested = load_dataset(config(), 1);
  EXPECT_TRUE(tested.validation_is_test);
  EXPECT_EQ(tested.validation.size(), 3u);
  EXPECT_TRUE(tested.test.empty());
}

TEST_F(Packed, IsCutAsFoldersAre) {
  pack();
  DataConfig wanted = config();
  wanted.resized_crop.min_scale = 0.3f;
  wanted.resized_crop.max_scale = 1;
  const Dataset data = load_dataset(wanted, 1);
  EXPECT_EQ(data.image, (FeatureShape{1, 24, 20, 3}));
  EXPECT_NE(image_of(data, 3, {true, 1}), image_of(data, 3, {true, 2}));
  EXPECT_EQ(image_of(data, 3, {true, 1}), image_of(load_dataset(wanted, 1), 3, {true, 1}));
}

TEST_F(Packed, BrokenPicturesAreLeftOutOrEndIt) {
  pack();
  folder.put("train/class1/002.jpg", {'n', 'o'});
  const Bytes before = folder.read("all.packed");
  expect_contains(message_of([&] { pack(); }), {"class1/002.jpg", "--max-bad allows 0"});
  EXPECT_EQ(folder.read("all.packed"), before) << "whole or not at all";
  const std::filesystem::path parent = std::filesystem::path(config().path).parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(parent))
    EXPECT_NE(entry.path().extension(), ".tmp");
  const PackSummary summary = pack(1);
  EXPECT_EQ(summary.train, 14);
  EXPECT_EQ(summary.left_out, 1);
  const Dataset data = load_dataset(config(), 1);
  EXPECT_EQ(data.labels,
            (std::vector<std::int32_t>{0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(image_of(data, 19, {}).size(), 24u * 20 * 3);
}

TEST_F(Packed, ThreadsChangeNoByte) {
  pack(0, 1);
  const Bytes one = folder.read("all.packed");
  pack(0, 3);
  EXPECT_EQ(folder.read("all.packed"), one);
}

TEST_F(Packed, RefusesWhatIsDamaged) {
  pack();
  EXPECT_EQ(problem_after([](Bytes&) {}), "no error");
  expect_contains(problem_after([](Bytes& b) { b.clear(); }), {"changed: not a packed file"});
  expect_contains(problem_after([](Bytes& b) { b[0] = 'X'; }), {"not a packed file"});
  expect_contains(problem_after([](Bytes& b) { b.resize(20); }), {"it ends within its header"});
  expect_contains(problem_after([](Bytes& b) { b.resize(30); }), {"header is longer than the file"});
  expect_contains(problem_after([](Bytes& b) { b.pop_back(); }), {"bytes where"});
  expect_contains(problem_after([](Bytes& b) { b.push_back(0); }), {"bytes where"});
  expect_contains(problem_after([](Bytes& b) { b.back() ^= 1; }),
                  {"its header, labels or checksums were changed after it was written"});
  expect_contains(problem_after([](Bytes& b) { b[15] = 0xFF; }), {"header is longer than the file"});
  expect_contains(problem_after([](Bytes& b) { b[8] = static_cast<std::uint8_t>(b[8] - 9); }),
                  {"its header is no JSON"});
}

/// Whether anybody who reads the whole file is told that something is wrong.
bool is_seen(const std::filesystem::path& path) {
  try {
    return data_source(Source::packed).verify(data_config(Source::packed, path), 1).damaged > 0;
  } catch (const Error&) {
    return true;
  }
}

TEST_F(Packed, EveryFlippedByteIsSeen) {
  pack_folder(folder.path(), config().path, {7, 0, 1, {}});
  const Bytes whole = folder.read("all.packed");
  const std::filesystem::path path = folder.path() / "flipped";
  folder.write("flipped", whole);
  ASSERT_FALSE(is_seen(path));
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](std::size_t at, std::uint8_t byte) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte));
    file.flush();
  };
  std::mt19937 random(1);
  const bool deep = std::getenv("CONVOY_DEEP") != nullptr;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (unsigned mask = deep ? 1 : 1 + random() % 255; mask < 256; mask += deep ? 1 : 256) {
      put(at, static_cast<std::uint8_t>(whole[at] ^ mask));
      EXPECT_TRUE(is_seen(path)) << "byte " << at << " of " << whole.size() << " became another by " << mask;
    }
    put(at, whole[at]);
  }
  EXPECT_FALSE(is_seen(path));
}

TEST_F(Packed, DamagedPixelsEndWhatReadsThem) {
  pack();
  const Bytes whole = folder.read("all.packed");
  const Dataset data = load_dataset(config(), 1);
  Bytes flipped = whole;
  constexpr std::size_t image = 32 * 32 * 3;
  flipped[packed_alignment + 3 * image + 100] ^= 1;
  flipped[packed_alignment + 20 * image] ^= 1;
  folder.write("all.packed", flipped);  // the same file, which is open
  const auto fetch = [&](int sample) { return message_of([&] { image_of(data, sample, {}); }); };
  expect_contains(fetch(3), {"all.packed: a damaged packed file", "image 3", "pack the pictures again"});
  EXPECT_EQ(fetch(4), "no error");
  expect_contains(message_of([&] { data.source->picture_of(20); }), {"image 20"});
  const Verification check = data_source(Source::packed).verify(config(), 2);
  EXPECT_EQ(check.images, 21);
  EXPECT_EQ(check.damaged, 2);
  EXPECT_EQ(check.problems.size(), 2u);
}

TEST_F(Packed, RowsAloneGiveTheSameCrops) {
  pack();
  for (const bool random : {false, true}) {
    DataConfig cut = config();
    cut.resize = 28;
    if (random) cut.resized_crop = {0.05F, 1, 0.5F, 2};
    const Dataset data = load_dataset(cut, 1);
    for (int epoch = 0; epoch < 40; ++epoch) {
      const Dataset whole = load_dataset(cut, 1);  // which has read no image yet
      for (std::int32_t sample = 0; sample < 15; ++sample)
        EXPECT_EQ(image_of(data, sample, {true, epoch}), image_of(whole, sample, {true, epoch})) << epoch;
    }
  }
}

TEST_F(Packed, DamageIsSeenWhenAnImageIsFirstRead) {
  pack();
  DataConfig cut = config();
  cut.resized_crop = {0.05F, 0.1F, 1, 1};
  const Dataset data = load_dataset(cut, 1);
  image_of(data, 3, {true, 0});
  Bytes bytes = folder.read("all.packed");
  const std::size_t images = 4096, image_bytes = 3 * 32 * 32;
  for (std::size_t i = images; i < images + 8 * image_bytes; ++i) bytes[i] ^= 1;
  folder.write("all.packed", bytes);  // to the same file, which is open
  EXPECT_THROW(image_of(data, 4, {true, 0}), Error) << "whichever part of it is shown";
  image_of(data, 3, {true, 1});
}

TEST_F(Packed, CutShortUnderItsReaderIsAnErrorThatNamesIt) {
  pack();
  const Dataset data = load_dataset(config(), 1);
  std::filesystem::resize_file(config().path, packed_alignment + 100);
  expect_contains(message_of([&] { image_of(data, 0, {}); }),
                  {"all.packed", "ends at byte 4196", "cut it short"});
  std::filesystem::remove(config().path);  // the open one is still there
  expect_contains(message_of([&] { image_of(data, 0, {}); }), {"ends at byte 4196"});
}

TEST_F(Packed, ContentIsKnownByAHash) {
  pack();
  const auto hash_of_training = [&] {
    const Dataset data = load_dataset(config(), 1);
    return data.source->hash_contents(data.train);
  };
  const auto hash = hash_of_training();
  EXPECT_TRUE(hash);
  pack(0, 1);
  EXPECT_EQ(hash_of_training(), hash) << "of the same pictures";
  folder.add("train/class0/000.jpg", 1, 9);
  pack();
  EXPECT_NE(hash_of_training(), hash) << "of another picture of the same name and class";
}

TEST_F(Packed, OlderVersionsAreReadAndTheirContentIsHashed) {
  const auto write = [&](std::uint8_t pixel) {
    const std::string text =
        R"({"version": 2, "height": 1, "width": 1, "classes": ["a"], "train": 1, "validation": 1, "test": 0})";
    const Bytes tail(8, 0);
    const std::uint64_t facts[] = {
        text.size(), packed_hash(std::as_bytes(std::span(text)), std::as_bytes(std::span(tail)))};
    Bytes bytes(packed_magic.begin(), packed_magic.end());
    const auto* raw = reinterpret_cast<const std::uint8_t*>(facts);
    bytes.insert(bytes.end(), raw, raw + sizeof facts);
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.resize(packed_alignment);
    bytes.insert(bytes.end(), {1, 2, 3, 4, 5, pixel});
    bytes.insert(bytes.end(), tail.begin(), tail.end());
    folder.write("all.packed", bytes);
  };
  write(6);
  const Dataset data = load_dataset(config(), 1);
  EXPECT_EQ(data.source->picture_of(1)->pixels, (Bytes{4, 5, 6}));
  expect_contains(data.warning, {"version 2 has no checksums"});
  const Verification check = data_source(Source::packed).verify(config(), 1);
  expect_contains(check.note, {"a file of version 2 has checksums of its header and labels alone"});
  EXPECT_EQ(check.damaged, 0);
  const auto hash = data.source->hash_contents(data.validation);
  EXPECT_TRUE(hash);
  write(7);
  const Dataset other = load_dataset(config(), 1);
  EXPECT_NE(other.source->hash_contents(other.validation), hash);
  EXPECT_EQ(other.source->hash_contents(other.train), data.source->hash_contents(data.train));
}

TEST_F(Packed, RefusesAbsurdHeaders) {
  pack();
  const auto with = [&](const std::string& text, Bytes rest, ExitCode code = ExitCode::failure) {
    return problem_after(
        [&](Bytes& bytes) {
          const std::uint64_t facts[] = {
              text.size(), packed_hash(std::as_bytes(std::span(text)), std::as_bytes(std::span(rest)))};
          bytes.assign(packed_magic.begin(), packed_magic.end());
          const auto* raw = reinterpret_cast<const std::uint8_t*>(facts);
          bytes.insert(bytes.end(), raw, raw + sizeof facts);
          bytes.insert(bytes.end(), text.begin(), text.end());
          bytes.resize(std::max<std::size_t>(bytes.size(), packed_alignment));
          bytes.resize(bytes.size() + 3);  // an image of 1 x 1
          bytes.insert(bytes.end(), rest.begin(), rest.end());
        },
        code);
  };
  const std::string rest = R"(, "classes": ["a"], "train": 1, "validation": 0})";
  expect_contains(
      with(R"({"version": 1, "height": 1, "width": 1)" + rest, {0, 0, 0, 0}, ExitCode::usage),
      {"was packed from a folder without val/ and test/", "data.validation: 0.1"});  // all else is in order
  expect_contains(with(R"({"version": 1, "height": 1, "width": 1)" + rest, {1, 0, 0, 0}), {"label 1 of 1"});
  expect_contains(with(R"({"version": 4, "height": 1, "width": 1)" + rest, {0, 0, 0, 0}),
                  {"version 4; this program reads versions up to 3"});
  expect_contains(with(R"({"version": 3, "height": 1, "width": 1)" + rest, {0, 0, 0, 0}), {"bytes where"});
  for (const char* height : {"0", "16385", "-1", "1.0", "1e3", "99999999999999999999", "null"})
    expect_contains(
        with(R"({"version": 1, "height": )" + std::string(height) + R"(, "width": 1)" + rest, {0, 0, 0, 0}),
        {"its height is no whole number from 1 to 16384"});
  expect_contains(with(R"({"version": 1, "version": 1, "height": 1, "width": 1)" + rest, {0, 0, 0, 0}),
                  {"its header has version twice"});
  expect_contains(
      with(R"({"version": 1, "height": 1, "width": 1)" + rest + std::string(1, '\0'), {0, 0, 0, 0}),
      {"its header is no JSON"});
  expect_contains(with(R"({"version": 1, "height": "1", "width": 1)" + rest, {0, 0, 0, 0}), {"damaged"});
  expect_contains(
      with(R"({"version": 1, "height": 16384, "width": 16384, "classes": ["a"], "train": 2147483647,
                       "validation": 0})",
           {}),
      {"bytes where"});
  expect_contains(
      with(R"({"version": 1, "height": 1, "width": 1, "classes": ["a"], "train": 9223372036854775807,
                       "validation": 1})",
           {}),
      {"its train is no whole number"});
  expect_contains(with(std::string(3000, '['), {}), {"nested too deeply"});
  expect_contains(with("{" + std::string(3000, '['), {}), {"its header is no JSON"});
  const std::string deep = std::string(300'000, '[') + std::string(300'000, ']');
  expect_contains(with(R"({"version": )" + deep + R"(, "height": 1, "width": 1)" + rest, {}),
                  {"nested too deeply"});
}

}  // namespace
}  // namespace convoy::testing
