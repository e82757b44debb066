// IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist, kept at
// https://github.com/cvdf-datasets/mnist): two zero bytes, type 8 (unsigned byte), number of dimensions, then
// each dimension as big-endian int32, then the data.
#include "src/data/sets/idx.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "core/error.h"
#include "src/data/reading.h"
#include "src/io/gzip_file.h"

namespace convoy {

namespace {

namespace fs = std::filesystem;

constexpr const char* expected =
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, "
    "plain or with .gz";

// Reads a file front to back, unpacking it if it is gzipped, and says at which byte of the content something
// is wrong.
class Reader {
 public:
  explicit Reader(const fs::path& path) : file_(path) {}

  /// Fills `bytes`; `what` names them, and `following` bytes after them, in the message when the file ends
  /// first or is damaged.
  void read(std::span<std::uint8_t> bytes, const char* what, std::size_t following = 0) {
    const std::size_t got = file_.read(bytes);
    offset_ += static_cast<std::int64_t>(got);
    if (got == bytes.size()) return;
    check_unpacked();
    fail("{}: ends at byte {}, within {}: {} bytes are missing; the file is truncated", path().string(),
         offset_, what, bytes.size() - got + following);
  }

  /// Appends `count` bytes. What a packed file's header announces is believed as far as the file holds it:
  /// memory grows with what was read.
  void append(std::vector<std::uint8_t>& bytes, std::int64_t count, const char* what) {
    const std::size_t end = bytes.size() + static_cast<std::size_t>(count);
    while (bytes.size() < end) {
      const std::size_t begin = bytes.size();
      bytes.resize(std::min(end, begin + piece));
      read(std::span(bytes).subspan(begin), what, end - bytes.size());
    }
  }

  std::uint32_t read_big_endian(const char* what) {
    std::array<std::uint8_t, 4> b{};
    read(b, what);
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 |
           std::uint32_t{b[3]};
  }

  /// Throws unless the content ends here. For a gzipped file this is also when its checksum is verified.
  void expect_end() {
    std::uint8_t byte = 0;
    const std::size_t got = file_.read({&byte, 1});
    check_unpacked();
    if (got > 0) fail("{}: goes on after byte {}, where its data should end", path().string(), offset_);
  }

  std::string where() const { return fmt::format("{}: byte {}", path().string(), offset_); }
  const fs::path& path() const { return file_.path(); }
  std::uint64_t stored_size() const { return file_.stored_size(); }
  std::int64_t offset() const { return offset_; }

 private:
  static constexpr std::size_t piece = 1 << 18;

  void check_unpacked() const {
    if (const std::string problem = file_.problem(); !problem.empty())
      fail("{}: {}; what could be unpacked ends after byte {}: the file is truncated or damaged",
           path().string(), problem, offset_);
  }

  GzipFile file_;
  std::int64_t offset_ = 0;
};

// `stem` with -idx or .idx, plain or with .gz: whichever is there.
std::optional<fs::path> find_file(const fs::path& folder, const std::string& stem, int dimensions) {
  for (const char* joint : {"-", "."}) {
    for (const char* end : {"", ".gz"}) {
      const fs::path path = folder / fmt::format("{}{}idx{}-ubyte{}", stem, joint, dimensions, end);
      std::error_code ignored;
      if (fs::exists(path, ignored) && !fs::is_directory(path, ignored)) return path;
    }
  }
  return std::nullopt;
}

fs::path require_file(const fs::path& folder, const std::string& stem, int dimensions,
                      const std::string& hint) {
  if (const auto file = find_file(folder, stem, dimensions)) return *file;
  fail("{}: no {}-idx{}-ubyte or {}-idx{}-ubyte.gz here; data.path should hold {}{}", folder.string(), stem,
       dimensions, stem, dimensions, expected, hint);
}

// The most that a byte of deflate (RFC 1951) can stand for: its longest match is 258 bytes, and takes at
// least one bit for the length and one for the distance.
constexpr double max_inflation = 258.0 * 8 / 2;

// The header's dimensions. Checked against the size of the file, so that a foreign header cannot ask for an
// absurd amount of memory.
template <std::size_t dimensions>
std::array<std::int64_t, dimensions> read_header(Reader& file) {
  const std::uint32_t magic = file.read_big_endian("the magic number");
  const std::uint32_t wanted = 0x800 + dimensions;
  if (magic != wanted) {
    fail(
        "{}: byte 0: magic number {:#010x} instead of {:#010x}: not an IDX file of unsigned bytes with {} "
        "dimension(s)",
        file.path().string(), magic, wanted, dimensions);
  }
  std::array<std::int64_t, dimensions> sizes{};
  double bytes = 1;
  for (std::int64_t& size : sizes) {
    const std::string where = file.where();
    size = file.read_big_endian("the header");
    if (size < 1 || size > INT32_MAX) fail("{}: a dimension of {}", where, size);
    bytes *= static_cast<double>(size);
  }
  const auto stored = static_cast<double>(file.stored_size());
  if (bytes > max_inflation * stored) {
    fail("{}: byte 4: the header announces {:.0f} bytes of data, which a file of {:.0f} bytes cannot hold",
         file.path().string(), bytes, stored);
  }
  return sizes;
}

// Appends one pair of files to `data` and returns the number of its images.
std::int64_t append_part(Dataset& data, const fs::path& folder, const std::string& part,
                         const std::string& hint) {
  Reader images(require_file(folder, part + "-images", 3, hint));
  Reader labels(require_file(folder, part + "-labels", 1, hint));
  const auto [count, height, width] = read_header<3>(images);
  const auto [label_count] = read_header<1>(labels);
  if (count != label_count) {
    fail("{}: byte 4: {} labels, but {} holds {} images", labels.path().string(), label_count,
         images.path().string(), count);
  }
  const FeatureShape image{1, static_cast<int>(height), static_cast<int>(width), 1};
  if (data.images.empty()) data.image = image;
  if (image != data.image) {
    fail("{}: byte 8: images of {}x{}, but the training images are {}x{}", images.path().string(), height,
         width, data.image.h, data.image.w);
  }

  images.append(data.images, count * image.count(), "the pixels");
  images.expect_end();

  const std::int64_t header = labels.offset();
  std::vector<std::uint8_t> bytes;
  labels.append(bytes, count, "the labels");
  labels.expect_end();
  for (std::int64_t i = 0; i < count; ++i) {
    const int label = bytes[static_cast<std::size_t>(i)];
    if (label >= data.classes) {
      fail("{}: byte {}: label {} of image {} is not in 0..{}", labels.path().string(), header + i, label, i,
           data.classes - 1);
    }
  }
  data.labels.insert(data.labels.end(), bytes.begin(), bytes.end());
  return count;
}

}  // namespace

IdxSource::IdxSource(Source source, std::string word, const SetSizes& sizes,
                     std::vector<std::string> class_names, Published published)
    : ResidentSource(source),
      word_(std::move(word)),
      sizes_(sizes),
      class_names_(std::move(class_names)),
      published_(std::move(published)) {}

Match IdxSource::match(const fs::path& path) const {
  if (!find_file(path, "train-images", 3)) return Match::no;
  if (word_.empty()) return Match::likely;
  std::string text = fs::absolute(path).string();
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text.find(word_) != std::string::npos ? Match::sure : Match::no;
}

Dataset IdxSource::read(const DataConfig& config, std::uint64_t, bool test) const {
  const fs::path folder = config.path;
  const std::string hint = fetch_hint(config.path);
  check_folder(folder, expected + hint);
  Dataset data;
  data.classes = sizes_.classes;
  const std::int64_t train = append_part(data, folder, "train", hint);
  append_ids(data.train, 0, train);
  if (test) append_ids(data.validation, train, append_part(data, folder, "t10k", hint));
  return data;
}

}  // namespace convoy
