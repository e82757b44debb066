// Pictures: against Pillow, in parts, damaged.
#include "src/io/image.h"

#include <gtest/gtest.h>
#include <png.h>

#include <algorithm>

#include "core/error.h"
#include "src/io/resize.h"
#include "tests/data/support.h"
#include "tests/golden/golden_file.h"
#include "tests/io/image_files.h"

namespace convoy::testing {
namespace {

Bytes bytes_of(const Values& values) {
  Bytes bytes;
  for (const double value : values) bytes.push_back(static_cast<std::uint8_t>(value));
  return bytes;
}

Image image_of(const GoldenFile& golden, const std::string& name) {
  const auto& shape = golden.shape(name);
  return {static_cast<int>(shape.at(0)), static_cast<int>(shape.at(1)), bytes_of(golden.at(name))};
}

const GoldenFile& golden() {
  static const GoldenFile file = read_golden("images.safetensors");
  return file;
}

std::string problem_of(const Bytes& bytes) {
  return message_of([&] { decode_image(bytes, "a.file"); });
}

/// WebP, BMP, TIFF, and PNG that few programs write.
const GoldenFile& formats() {
  static const GoldenFile file = read_golden("formats.safetensors");
  return file;
}

Bytes file_of(const std::string& name) {
  const GoldenFile& file = formats().has(name + "/file") ? formats() : golden();
  return bytes_of(file.at(name + "/file"));
}

/// Whether this program was built with what reads a golden file of this name, "webp_lossy".
bool is_read(std::string_view name) {
  return (reads_webp || !name.starts_with("webp")) && (reads_tiff || !name.starts_with("tiff"));
}

TEST(Image, FormatsWithoutTheirLibraryAreNamed) {
  for (const char* name : {"webp_lossless", "tiff_raw"})
    if (!is_read(name)) expect_contains(problem_of(file_of(name)), {"a.file: a ", "built without lib"});
}

TEST(Image, DecodesAsPillowDoes) {
  int decoded = 0;
  for (const GoldenFile* file : {&golden(), &formats()}) {
    for (const auto& [name, attributes] : file->cases) {
      if (attributes.at("op") != "decode") continue;
      ++decoded;
      if (!is_read(name)) continue;
      try {
        const Image image = decode_image(file_of(name), name);
        EXPECT_LE(difference(image, image_of(*file, name + "/pixels")), attributes.at("tolerance").get<int>())
            << name;
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
  EXPECT_GE(decoded, 56);
}

/// A gray PNG of 16 bits, one row.
Bytes png_of(const std::vector<std::uint16_t>& levels) {
  Bytes file, row;
  for (const std::uint16_t level : levels) {
    row.push_back(static_cast<std::uint8_t>(level >> 8));
    row.push_back(static_cast<std::uint8_t>(level & 255));
  }
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  const auto append = [](png_structp of, png_bytep bytes, std::size_t count) {
    auto* out = static_cast<Bytes*>(png_get_io_ptr(of));
    out->insert(out->end(), bytes, bytes + count);
  };
  png_set_write_fn(png, &file, append, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(levels.size()), 1, 16, PNG_COLOR_TYPE_GRAY,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  png_write_row(png, row.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

// 65535 is 255: divided by 257. Cut off, the first three would be 0, 1 and 126.
TEST(Image, SixteenBitsAreRoundedToEight) {
  const Image image = decode_image(png_of({255, 511, 32639, 65535, 0}), "deep.png");
  EXPECT_EQ(image.pixels, (Bytes{1, 1, 1, 2, 2, 2, 127, 127, 127, 255, 255, 255, 0, 0, 0}));
}

// Chunks of an odd size are filled up to an even one.
TEST(Image, OrientationOfAWebpStandsBehindOtherChunks) {
  if (!reads_webp) GTEST_SKIP() << "built without libwebp";
  Bytes file = file_of("webp_orientation_6");
  const std::string mark = "EXIF", odd{'X', 'M', 'P', ' ', 3, 0, 0, 0, 'a', 'b', 'c', 0};
  const auto exif = std::search(file.begin(), file.end(), mark.begin(), mark.end());
  ASSERT_NE(exif, file.end());
  const Image expected = decode_image(file, "a.webp");
  file.insert(exif, odd.begin(), odd.end());
  const std::size_t size = file.size() - 8;
  for (std::size_t i = 0; i < 4; ++i) file[4 + i] = static_cast<std::uint8_t>(size >> 8 * i);
  const Image image = decode_image(file, "a.webp");
  EXPECT_EQ(image.size(), expected.size());
  EXPECT_EQ(image.pixels, expected.pixels);
}

TEST(Image, PartsOfOtherFormatsAreThoseOfTheWhole) {
  for (const char* name : {"webp_lossless", "tiff_tiff_lzw", "bmp_rgb"}) {
    if (!is_read(name)) continue;
    const Image whole = image_of(formats(), std::string(name) + "/pixels");
    const Box box{2, 3, 8, 9, true};
    const ImagePart part = decode_part(file_of(name), name, [&](ImageSize) { return box; }, {4, 4});
    EXPECT_EQ(difference(resized(part.image, part.box, {4, 4}), resized(whole, box, {4, 4})), 0) << name;
  }
}

TEST(Image, ResizesAsPillowDoes) {
  int resized_images = 0;
  for (const auto& [name, attributes] : golden().cases) {
    if (attributes.at("op") == "decode") continue;
    const Image source = image_of(golden(), name + "/pixels");
    const auto size = attributes.at("size").get<std::vector<int>>();
    const ImageSize out{size[0], size[1]};
    Box box;
    if (attributes.at("op") == "resize") {
      const auto edges = attributes.at("box").get<std::vector<double>>();
      box = {edges[0], edges[1], edges[2], edges[3], attributes.at("isolated").get<bool>()};
    } else {
      box = centre_box(source.size(), attributes.at("shorter").get<int>(), out);
    }
    EXPECT_LE(difference(resized(source, box, out), image_of(golden(), name + "/result")), 1) << name;
    ++resized_images;
  }
  EXPECT_GE(resized_images, 10);
}

TEST(Image, CornersAndMiddleAreCutOutOfTheResizedPicture) {
  for (const ImageSize size : {ImageSize{90, 131}, ImageSize{140, 64}}) {
    constexpr int shorter = 40;
    const ImageSize out{32, 25};
    const Image picture = make_picture(size.height, size.width);
    const ImageSize whole = size.height > size.width ? ImageSize{87, shorter} : ImageSize{shorter, 58};
    const Image all = resized(
        picture, {0, 0, static_cast<double>(size.height), static_cast<double>(size.width), false}, whole);
    const int below = whole.height - out.height, right = whole.width - out.width;
    const std::pair<Cut, std::pair<int, int>> places[] = {
        {Cut::top_left, {0, 0}},
        {Cut::top_right, {0, right}},
        {Cut::bottom_left, {below, 0}},
        {Cut::bottom_right, {below, right}},
        {Cut::middle,
         {static_cast<int>(std::nearbyint(below / 2.0)), static_cast<int>(std::nearbyint(right / 2.0))}}};
    for (const auto& [cut, place] : places) {
      Image part{out.height, out.width, {}};
      for (int y = place.first; y < place.first + out.height; ++y) {
        const auto row = all.pixels.begin() + (y * whole.width + place.second) * 3;
        part.pixels.insert(part.pixels.end(), row, row + out.width * 3);
      }
      // The longer side of the whole was rounded before it was resized to.
      EXPECT_LE(difference(resized(picture, cut_box(size, shorter, out, cut), out), part), 1)
          << size.height << " " << static_cast<int>(cut);
    }
  }
}

TEST(Image, PartsOfAJpegAreThoseOfTheWhole) {
  for (const bool subsampled : {true, false}) {
    for (const bool progressive : {true, false}) {
      const Bytes file = encode_jpeg(make_picture(150, 211), {90, subsampled, progressive});
      const Image whole = decode_image(file, "whole");
      for (const Box& box :
           {Box{0, 0, 150, 211, true}, Box{16, 32, 64, 48, true}, Box{17, 33, 65, 47, false},
            Box{100, 170, 50, 41, true}, Box{0, 3, 10, 10, true}, Box{149, 210, 1, 1, true}}) {
        const ImageSize out{32, 32};
        ImageSize told;
        const ImagePart part = decode_part(
            file, "part", [&](ImageSize size) { return told = size, box; }, out);
        EXPECT_EQ(told, whole.size());
        if (part.box.height == box.height) {  // not decoded at a smaller scale
          EXPECT_EQ(difference(resized(part.image, part.box, out), resized(whole, box, out)), 0)
              << box.top << " " << box.left << (subsampled ? " subsampled" : "");
        }
        if (box.height < 70 && box.top > 0) {
          EXPECT_LT(part.image.pixels.size(), whole.pixels.size() / 2);
        }
      }
    }
  }
}

TEST(Image, SmallerScalesOfAJpegLookAlike) {
  const Image picture = make_picture(400, 600);
  const Bytes file = encode_jpeg(picture, {95, true, false});
  const Image eighth = decode_image(file, "a", {50, 75});
  EXPECT_EQ(eighth.size(), (ImageSize{50, 75}));
  EXPECT_EQ(decode_image(file, "a", {51, 75}).size(), (ImageSize{100, 150}));
  EXPECT_EQ(decode_image(file, "a", {401, 1}).size(), (ImageSize{400, 600}));
  const Image small = resized(picture, {0, 0, 400, 600, true}, {50, 75});
  double sum = 0;
  for (std::size_t i = 0; i < small.pixels.size(); ++i) sum += std::abs(small.pixels[i] - eighth.pixels[i]);
  EXPECT_LT(sum / static_cast<double>(small.pixels.size()), 4);
}

TEST(Image, OrientationOfASmallerScaleAndItsBox) {
  const Bytes file = bytes_of(golden().at("jpeg_orientation_6/file"));
  const Image whole = image_of(golden(), "jpeg_orientation_6/pixels");
  const Box box{4, 2, 12, 9, true};
  ImageSize told;
  const auto choose = [&](ImageSize size) { return told = size, box; };
  const ImagePart part = decode_part(file, "a", choose, {12, 9});
  EXPECT_EQ(told, whole.size());
  EXPECT_LE(difference(resized(part.image, part.box, {12, 9}), resized(whole, box, {12, 9})), 1);
}

TEST(Image, NamesWhatIsNoImage) {
  EXPECT_EQ(problem_of({}), "a.file: the file is empty");
  EXPECT_EQ(problem_of({'G', 'I', 'F', '8', '9', 'a'}),
            "a.file: a GIF file; Convoy reads JPEG, PNG, WebP, BMP and TIFF");
  const auto of_text = [](const std::string& text) { return problem_of(Bytes(text.begin(), text.end())); };
  expect_contains(of_text(std::string("\0\0\0\x18", 4) + "ftypheic"), {"a HEIC file"});
  expect_contains(of_text(std::string("\0\0\0\x18", 4) + "ftypavif"), {"an AVIF file"});
  expect_contains(of_text("version https://git-lfs.github.com/spec/v1\noid sha256:1"),
                  {"a Git LFS pointer", "git lfs pull"});
  expect_contains(of_text("\n <!DOCTYPE HTML><html>"), {"an HTML page"});
  expect_contains(of_text("<?xml version=\"1.0\"?><svg/>"), {"SVG"});
  expect_contains(of_text("BM is how this text begins"), {"not a JPEG, PNG, WebP, BMP or TIFF file"});
  expect_contains(problem_of(Bytes(100)), {"only zero bytes"});
  if (reads_webp) expect_contains(problem_of(file_of("webp_animated")), {"a.file: an animated WebP file"});
  const TemporaryFolder folder;
  expect_contains(message_of([&] { read_image(folder.path()); }), {"it is a folder; name a file"});
  expect_contains(message_of([&] { read_image(folder.path() / "none.png"); }), {"none.png", "No such file"});
  folder.write("text.jpg", {'h', 'e', 'l', 'l', 'o'});
  expect_contains(message_of([&] { read_image(folder.path() / "text.jpg"); }),
                  {"text.jpg: not a JPEG, PNG, WebP, BMP or TIFF file"});
}

TEST(Image, EveryShorterFileIsDamaged) {
  for (const char* name :
       {"jpeg_420", "jpeg_progressive", "png_palette", "png_16", "webp_lossy", "webp_lossless", "tiff_raw",
        "tiff_tiff_lzw", "tiff_jpeg", "bmp_rgb", "bmp_palette"}) {
    if (!is_read(name)) continue;
    Bytes file = file_of(name);
    const std::string_view format = name;
    const std::size_t least = format.starts_with("bmp") ? 26 : 12;  // what tells the format
    // An end marker holds no pixel.
    const std::ptrdiff_t end = format.starts_with("jpeg") ? 2 : format.starts_with("png") ? 12 : 0;
    file.erase(file.end() - end, file.end());
    while (file.size() > least) {
      file.pop_back();
      expect_contains(problem_of(file), {"a.file: a damaged"});
      if (::testing::Test::HasFailure()) FAIL() << name << " of " << file.size() << " bytes";
    }
  }
}

TEST(Image, AShorterFileIsDamagedWhateverPartOfItIsWanted) {
  Bytes file = encode_jpeg(make_picture(150, 211), {90, true, false});
  const auto top = [](ImageSize) { return Box{0, 0, 8, 8, true}; };
  EXPECT_NO_THROW(decode_part(file, "a.file", top, {8, 8}));
  file.resize(file.size() - 100);
  expect_contains(message_of([&] {
                    decode_part(file, "a.file", top, {8, 8});
                  }),
                  {"a.file: a damaged JPEG file: it ends early"});
}

TEST(Image, DamagedBytesAreAnErrorOrAnImage) {
  int refused = 0;
  for (const char* name :
       {"jpeg_420", "jpeg_orientation_5", "jpeg_inks", "png_rgb", "webp_lossy", "webp_orientation_6",
        "tiff_tiff_lzw", "tiff_palette", "tiff_bits", "bmp_16_colours", "bmp_565"}) {
    const Bytes file = file_of(name);
    for (std::size_t i = 0; i < file.size(); ++i) {
      Bytes damaged = file;
      damaged[i] = static_cast<std::uint8_t>(damaged[i] ^ (1u << (i % 8)));
      damaged[(i * 7) % file.size()] = 0xFF;
      try {
        const Image image = decode_image(damaged, "a.file");
        EXPECT_EQ(image.pixels.size(), 3u * static_cast<std::size_t>(image.height * image.width));
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).rfind("a.file: ", 0), 0u) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(Image, RefusesAbsurdSizesBeforeTakingMemory) {
  Bytes jpeg = bytes_of(golden().at("jpeg_420/file"));
  for (std::size_t i = 0; i + 9 < jpeg.size(); ++i) {  // start of frame: length, precision, height, width
    if (jpeg[i] != 0xFF || jpeg[i + 1] != 0xC0) continue;
    for (std::size_t k = 5; k < 9; ++k) jpeg[i + k] = 0xFF;
    break;
  }
  const std::string said = problem_of(jpeg);
  EXPECT_TRUE(said.find("more than the 134217728") != std::string::npos ||
              said.find("a damaged JPEG file") != std::string::npos)
      << said;  // libjpeg itself accepts no more than 65,500 along an axis
  Bytes bmp = file_of("bmp_rgb");
  bmp[19] = bmp[23] = 0x20;  // the second byte of its width and height
  expect_contains(problem_of(bmp), {"a.file: ", "cannot hold"});
  Bytes tiff = file_of("tiff_raw");
  ASSERT_EQ(tiff[0], 'I');
  for (std::size_t at = 0; at + 12 < tiff.size();
       ++at) {  // tags 256 and 257, of one number each: width and height
    if (tiff[at + 1] == 1 && tiff[at] <= 1 && tiff[at + 3] == 0 && (tiff[at + 2] == 3 || tiff[at + 2] == 4) &&
        tiff[at + 4] == 1)
      tiff[at + 8] = tiff[at + 9] = 0xFF;
  }
  if (reads_tiff)
    expect_contains(problem_of(tiff),
                    {"a.file: an image of 65535 x 65535 pixels is more than the 134217728"});
  Bytes png = bytes_of(golden().at("png_rgb/file"));
  png[16] = png[20] = 0x07;  // 2^27 x 2^27; the header's checksum no longer fits either
  expect_contains(problem_of(png), {"a.file: "});
  EXPECT_THROW(check_image_size(1 << 14, (1 << 13) + 1, 1 << 20, "a"), Error);
  EXPECT_NO_THROW(check_image_size(1 << 14, 1 << 13, 1 << 20, "a"));
  EXPECT_NO_THROW(check_image_size(1 << 12, 1 << 12, 100, "a", believed_pixels));
  EXPECT_THROW(check_image_size(1 << 12, (1 << 12) + 1, 100, "a", believed_pixels), Error);
  EXPECT_THROW(check_image_size(1 << 14, 1 << 13, 1 << 13, "a"), Error)
      << "so few bytes hold no such picture";
}

TEST(Image, GrayIsLuma) {
  const Bytes rgb{255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255};
  Bytes gray(5);
  to_gray(rgb.data(), 5, gray.data());
  EXPECT_EQ(gray, (Bytes{255, 0, 76, 150, 29}));  // Pillow's convert("L")
}

}  // namespace
}  // namespace convoy::testing
