// What was written, read back by libpng, holds the same pixels.
#include "src/io/png_writer.h"

#include <gtest/gtest.h>
#include <png.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

std::vector<std::uint8_t> some_pixels(int count) {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < count; ++i) pixels.push_back(static_cast<std::uint8_t>(i * 37 + i / 5));
  return pixels;
}

struct Decoded {
  int height = 0, width = 0;
  bool color = false;
  std::vector<std::uint8_t> pixels;
};

Decoded decode(const std::string& bytes, int channels) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&header, bytes.data(), bytes.size()), 0) << header.message;
  Decoded image{static_cast<int>(header.height),
                static_cast<int>(header.width),
                (header.format & PNG_FORMAT_FLAG_COLOR) != 0,
                {}};
  header.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  image.pixels.resize(PNG_IMAGE_SIZE(header));
  EXPECT_NE(png_image_finish_read(&header, nullptr, image.pixels.data(), 0, nullptr), 0) << header.message;
  return image;
}

TEST(PngWriter, GrayAndColorComeBackExactly) {
  for (const int channels : {1, 3}) {
    const auto pixels = some_pixels(5 * 7 * channels);
    const Decoded read = decode(encode_png({5, 7, channels, pixels}), channels);
    EXPECT_EQ(read.height, 5);
    EXPECT_EQ(read.width, 7);
    EXPECT_EQ(read.color, channels == 3);
    EXPECT_EQ(read.pixels, pixels);
  }
}

TEST(PngWriter, FileHoldsTheSameBytes) {
  const auto pixels = some_pixels(4 * 3);
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.png";
  write_png(path, {4, 3, 1, pixels});
  EXPECT_EQ(read_file(path), encode_png({4, 3, 1, pixels}));
}

TEST(PngWriter, RefusesWhatIsNoImage) {
  const auto pixels = some_pixels(12);
  EXPECT_THROW(encode_png({2, 3, 2, pixels}), Error);
  EXPECT_THROW(encode_png({0, 3, 1, {}}), Error);
  EXPECT_THROW(encode_png({5, 3, 1, pixels}), Error);
  const std::vector<std::uint8_t> wide(2'000'000);
  EXPECT_THROW(encode_png({1, 2'000'000, 1, wide}), Error);
  EXPECT_THROW(write_png("/nonexistent/folder/x.png", {4, 3, 1, pixels}), Error);
}

}  // namespace
}  // namespace convoy::testing
