// A folder of pictures that a test makes.
#pragma once

#include <fmt/format.h>

#include "src/data/folder.h"
#include "tests/data/support.h"
#include "tests/io/image_files.h"

namespace convoy::testing {

class PictureFolder : public TemporaryFolder {
 public:
  /// So many JPEG files of different sizes per class in train/ and val/; classes are called class0, class1,
  /// ...
  PictureFolder(int classes, int train, int validation) {
    for (int c = 0; c < classes; ++c) {
      for (int i = 0; i < train; ++i) add(fmt::format("train/class{}/{:03}.jpg", c, i), c, i);
      for (int i = 0; i < validation; ++i) add(fmt::format("val/class{}/{:03}.jpg", c, i), c, train + i);
    }
  }
  void add(const std::string& name, int kind, int i) const {
    put(name, encode_jpeg(make_picture(40 + 3 * i, 60 + kind - 2 * i, kind)));
  }
  void put(const std::string& name, const Bytes& bytes) const {
    std::filesystem::create_directories((path() / name).parent_path());
    write(name, bytes);
  }

  /// For a network of 24 x 20 pixels.
  DataConfig config() const {
    DataConfig config = data_config(Source::folder, path());
    config.input = {3, 24, 20};
    return config;
  }
};

/// A sample's image.
inline Bytes image_of(const Dataset& data, std::int32_t sample, const Occasion& occasion) {
  Bytes bytes(static_cast<std::size_t>(data.image.count()));
  fetch_image(data, sample, occasion, bytes.data());
  return bytes;
}

}  // namespace convoy::testing
