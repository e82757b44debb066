#include "src/data/packed_file.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/ceil_div.h"
#include "core/error.h"
#include "core/hash.h"
#include "src/io/json_reader.h"

namespace convoy {
namespace {

template <class T>
std::span<std::byte> bytes_of(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

/// Takes as many bytes as `values` has off the front of `bytes`.
template <class T>
void take(std::span<const std::byte>& bytes, std::vector<T>& values) {
  const std::span<std::byte> out = bytes_of(values);
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size());
  bytes = bytes.subspan(out.size());
}

}  // namespace

PackedLayout::PackedLayout(std::uint64_t text_bytes, std::uint64_t samples, std::uint64_t image,
                           bool with_sums) {
  text_end = packed_text + text_bytes;
  images = ceil_div(text_end, packed_alignment) * packed_alignment;
  image_bytes = image;
  labels = images + samples * image;
  end = labels + samples * (sizeof(std::int32_t) + (with_sums ? sizeof(std::uint64_t) : 0));
}

std::uint64_t packed_image_hash(std::span<const std::byte> pixels) {
  __extension__ using Product = unsigned __int128;
  std::uint64_t sum = hash_term(~std::uint64_t{0}, pixels.size()), key = 0;
  while (!pixels.empty()) {
    std::array<std::uint64_t, 2> words{};
    const std::size_t count = std::min(pixels.size(), sizeof words);
    std::memcpy(words.data(), pixels.data(), count);
    key += 0x9E3779B97F4A7C15u;
    const Product product = static_cast<Product>(words[0] ^ key) * (words[1] ^ ~key ^ 0x2545F4914F6CDD1Du);
    sum += static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    pixels = pixels.subspan(count);
  }
  return sum;
}

std::uint64_t packed_hash(std::span<const std::byte> text, std::span<const std::byte> tail) {
  return hash_of(text) + mix(hash_of(tail));
}

PackedFile::PackedFile(const std::filesystem::path& path) : file_(path) {
  const std::string text = read_text();
  read_header(text);
  const auto samples = static_cast<std::uint64_t>(count());  // times an image: below 2^63
  layout_ = PackedLayout(
      text.size(), samples,
      std::uint64_t{3} * static_cast<std::uint64_t>(size_.height) * static_cast<std::uint64_t>(size_.width),
      version_ >= packed_version_with_sums);
  if (file_.size() != layout_.end)
    damaged(fmt::format("it has {} bytes where {} were written", file_.size(), layout_.end));
  read_tail(text);
}

void PackedFile::damaged(std::string_view why) const {
  fail("{}: a damaged packed file: {}", file_.path().string(), why);
}

std::string PackedFile::read_text() {
  std::array<char, packed_text> begin{};
  const std::size_t got = file_.read_up_to(0, std::as_writable_bytes(std::span(begin)));
  if (got < packed_magic.size() || !std::equal(packed_magic.begin(), packed_magic.end(), begin.begin()))
    fail("{}: not a packed file (convoy data pack makes them)", file_.path().string());
  if (got < packed_text) damaged("it ends within its header");
  std::uint64_t text_bytes = 0;
  std::memcpy(&text_bytes, begin.data() + 8, sizeof text_bytes);
  std::memcpy(&hash_, begin.data() + 16, sizeof hash_);
  if (text_bytes > file_.size() - packed_text) damaged("its header is longer than the file");
  if (text_bytes > packed_longest_text) damaged(fmt::format("its header has {} bytes", text_bytes));
  std::string text(text_bytes, '\0');
  file_.read_at(packed_text, std::as_writable_bytes(std::span(text)));
  return text;
}

void PackedFile::read_header(const std::string& text) {
  constexpr int deepest = 2;  // the list of classes
  const std::string name = file_.path().string() + ": a damaged packed file: its header";
  const nlohmann::json header = read_json(text, name, deepest);
  if (!header.is_object()) damaged("its header holds no names");
  const auto number = [&](const char* key, std::int64_t least, std::int64_t most) {
    const auto found = header.find(key);
    const bool is_whole = found != header.end() && found->is_number_unsigned();
    const std::uint64_t value = is_whole ? found->get<std::uint64_t>() : 0;
    if (!is_whole || value < static_cast<std::uint64_t>(least) || value > static_cast<std::uint64_t>(most))
      damaged(fmt::format("its {} is no whole number from {} to {}", key, least, most));
    return static_cast<std::int64_t>(value);
  };
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  version_ = static_cast<int>(number("version", 1, most));
  if (version_ > packed_version)
    fail("{}: a packed file of version {}; this program reads versions up to {}", file_.path().string(),
         version_, packed_version);
  size_ = {static_cast<int>(number("height", 1, packed_most_side)),
           static_cast<int>(number("width", 1, packed_most_side))};
  train_ = number("train", 1, most);
  validation_ = number("validation", 0, most - train_);
  test_ = header.contains("test") ? number("test", 0, most - train_ - validation_) : 0;
  try {
    classes_ = header.at("classes").get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    damaged("its classes are no list of names");
  }
}

void PackedFile::read_tail(const std::string& text) {
  std::vector<std::byte> tail(layout_.end - layout_.labels);
  file_.read_at(layout_.labels, tail);
  if (packed_hash(std::as_bytes(std::span(text)), tail) != hash_)
    damaged("its header, labels or checksums were changed after it was written");
  if (version_ >= packed_version_with_sums) {
    std::vector<std::byte> gap(layout_.images - layout_.text_end);
    file_.read_at(layout_.text_end, gap);
    if (std::any_of(gap.begin(), gap.end(), [](std::byte b) { return b != std::byte{0}; }))
      damaged("there is something between its header and its images");
    sums_.resize(static_cast<std::size_t>(count()));
  }
  labels_.resize(static_cast<std::size_t>(count()));
  std::span<const std::byte> rest = tail;
  take(rest, labels_);
  take(rest, sums_);
  for (const std::int32_t label : labels_)
    if (label < 0 || label >= std::ssize(classes_))
      damaged(fmt::format("label {} of {} classes", label, classes_.size()));
}

void PackedFile::read(std::int32_t sample, std::span<std::uint8_t> pixels) const {
  check(sample >= 0 && sample < count() && pixels.size() == layout_.image_bytes, "an image of this file");
  const auto bytes = std::as_writable_bytes(pixels);
  file_.read_at(layout_.images + static_cast<std::uint64_t>(sample) * layout_.image_bytes, bytes);
  if (has_sums() && packed_image_hash(bytes) != sums_[static_cast<std::size_t>(sample)])
    damaged(fmt::format("the pixels of image {} are not what was packed; pack the pictures again", sample));
}

void PackedFile::read_rows(std::int32_t sample, RowRange rows, std::span<std::uint8_t> pixels) const {
  check(sample >= 0 && sample < count() && pixels.size() == layout_.image_bytes && rows.first >= 0 &&
            rows.count >= 0 && rows.first + rows.count <= size_.height,
        "rows of an image of this file");
  const std::size_t row_bytes = std::size_t{3} * static_cast<std::size_t>(size_.width);
  const std::size_t begin = static_cast<std::size_t>(rows.first) * row_bytes;
  const auto part = pixels.subspan(begin, static_cast<std::size_t>(rows.count) * row_bytes);
  file_.read_at(layout_.images + static_cast<std::uint64_t>(sample) * layout_.image_bytes + begin,
                std::as_writable_bytes(part));
}

std::uint64_t PackedFile::sum_of(std::int32_t sample) const {
  if (has_sums()) return sums_[static_cast<std::size_t>(sample)];
  std::vector<std::uint8_t> pixels(image_bytes());
  read(sample, pixels);
  return packed_image_hash(std::as_bytes(std::span(pixels)));
}

}  // namespace convoy
