// A packed file (packed.h), open to be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/regular_file.h"
#include "src/data/packed_layout.h"
#include "src/io/image.h"
#include "src/io/resize.h"

namespace convoy {

/// One whose header, labels and checksums were read and found right. Threads may read at the same time.
class PackedFile {
 public:
  /// Throws Error that names the file for anything but a whole packed file.
  explicit PackedFile(const std::filesystem::path& path);

  int version() const { return version_; }
  ImageSize size() const { return size_; }  ///< of every image
  const std::vector<std::string>& classes() const { return classes_; }
  std::int64_t train() const { return train_; }
  std::int64_t validation() const { return validation_; }
  std::int64_t test() const { return test_; }
  std::int64_t count() const { return train_ + validation_ + test_; }
  const std::vector<std::int32_t>& labels() const { return labels_; }  ///< (count)
  bool has_sums() const { return !sums_.empty(); }                     ///< of each image: as of version 3
  std::size_t image_bytes() const { return layout_.image_bytes; }
  /// Of the header's text, the labels and the images' checksums: as of version 3 of all that the file holds.
  std::uint64_t hash() const { return hash_; }

  /// Reads an image, (H,W,3), of image_bytes(). Throws Error where it is not what was packed, or is no longer
  /// there.
  void read(std::int32_t sample, std::span<std::uint8_t> pixels) const;
  /// Reads some of its rows to where they stand in the image, whose checksum this cannot tell.
  void read_rows(std::int32_t sample, RowRange rows, std::span<std::uint8_t> pixels) const;
  /// The checksum of an image; before version 3 the image is read for it.
  std::uint64_t sum_of(std::int32_t sample) const;

 private:
  [[noreturn]] void damaged(std::string_view why) const;
  std::string read_text();
  void read_header(const std::string& text);
  void read_tail(const std::string& text);

  RegularFile file_;
  int version_ = 0;
  ImageSize size_;
  std::vector<std::string> classes_;
  std::int64_t train_ = 0, validation_ = 0, test_ = 0;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint64_t> sums_;
  std::uint64_t hash_ = 0;
  PackedLayout layout_;
};

}  // namespace convoy
