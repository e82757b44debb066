// Pictures and JPEG files that tests make themselves.
#pragma once

#include <cstdint>
#include <vector>

#include "src/io/image.h"

namespace convoy::testing {

/// Smooth colours that differ from place to place and by `kind`, and fine lines.
Image make_picture(int height, int width, int kind = 0);

struct JpegOptions {
  int quality = 90;
  bool subsampled = true;  ///< colours at half the resolution
  bool progressive = false;
  bool separate_scans = false;  ///< a scan for each component
  int restart = 0;              ///< blocks of pixels between restart markers; 0: none
};
std::vector<std::uint8_t> encode_jpeg(const Image& image, const JpegOptions& options = {});

/// The largest difference of two images' values; 256 when sizes differ.
int difference(const Image& a, const Image& b);

}  // namespace convoy::testing
