// Which files are whole, and which way up they are: what lacks its end alone, orientations, kinds that are
// not supported.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <string>

#include "src/io/exif.h"
#include "src/io/resize.h"
#include "tests/data/support.h"
#include "tests/io/image_files.h"

namespace convoy::testing {
namespace {

/// A directory of TIFF with one entry, the orientation, as a value of this type.
Bytes exif_of(int type, bool little, std::uint32_t value) {
  Bytes bytes;
  const auto put = [&](std::uint32_t number, int count) {
    for (int i = 0; i < count; ++i)
      bytes.push_back(static_cast<std::uint8_t>(number >> 8 * (little ? i : count - 1 - i)));
  };
  bytes.assign(2, little ? 'I' : 'M');
  put(42, 2);
  put(8, 4);
  put(1, 2);
  put(0x0112, 2);
  put(static_cast<std::uint32_t>(type), 2);
  put(1, 4);
  const int count = type == 1 || type == 6 ? 1 : type == 3 || type == 8 ? 2 : 4;
  put(value, count);
  bytes.resize(bytes.size() + static_cast<std::size_t>(4 - count) + 4);
  return bytes;
}

TEST(Exif, OrientationOfEveryIntegerType) {
  for (const int type : {1, 3, 4, 6, 8, 9})
    for (const bool little : {false, true})
      EXPECT_EQ(exif_orientation(exif_of(type, little, 6)), 6) << type << " " << little;
  EXPECT_FALSE(exif_orientation(exif_of(2, true, 6))) << "a text";
  EXPECT_FALSE(exif_orientation(exif_of(4, true, 0x10006)));
  EXPECT_FALSE(exif_orientation(exif_of(3, true, 9)));
  Bytes other = exif_of(3, false, 6);
  other[0] = 'h';
  EXPECT_FALSE(exif_orientation(other)) << "not TIFF";
}

/// With a segment behind the file's first marker.
Bytes with_segment(const Bytes& jpeg, const std::string& name, const Bytes& content) {
  const std::size_t length = 2 + name.size() + content.size();
  Bytes segment{0xFF, 0xE1, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length & 255)};
  segment.insert(segment.end(), name.begin(), name.end());
  segment.insert(segment.end(), content.begin(), content.end());
  Bytes file = jpeg;
  file.insert(file.begin() + 2, segment.begin(), segment.end());
  return file;
}
Bytes turned(const Bytes& jpeg, int orientation, int type = 3) {
  return with_segment(jpeg, std::string("Exif\0\0", 6),
                      exif_of(type, false, static_cast<std::uint32_t>(orientation)));
}

TEST(Exif, OrientationOfAJpegStandsInAnySegment) {
  const Bytes plain = encode_jpeg(make_picture(20, 31));
  const Image expected = upright(decode_image(plain, "a"), 6);
  for (const int type : {1, 3, 4})
    EXPECT_EQ(decode_image(turned(plain, 6, type), "a").pixels, expected.pixels);
  const Bytes behind = with_segment(turned(plain, 6), "http://ns.adobe.com/xap/1.0/", {0, '<', 'x', '>'});
  EXPECT_EQ(decode_image(behind, "a").pixels, expected.pixels);
}

Bytes chunk(const std::string& type, const Bytes& content) {
  Bytes bytes;
  append_big_endian(bytes, static_cast<std::uint32_t>(content.size()));
  bytes.insert(bytes.end(), type.begin(), type.end());
  bytes.insert(bytes.end(), content.begin(), content.end());
  append_big_endian(
      bytes, static_cast<std::uint32_t>(crc32(0, bytes.data() + 4, static_cast<uInt>(bytes.size() - 4))));
  return bytes;
}

/// A PNG of 3 x 2 pixels: signature and header are its first 33 bytes, the last chunk its last 12.
Bytes small_png() {
  Bytes file{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const auto append = [&](const Bytes& bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); };
  append(chunk("IHDR", {0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0}));
  const Bytes rows{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  Bytes packed(100);
  uLongf size = packed.size();
  compress(packed.data(), &size, rows.data(), rows.size());
  packed.resize(size);
  append(chunk("IDAT", packed));
  append(chunk("IEND", {}));
  return file;
}

TEST(Exif, OrientationOfAPng) {
  const Bytes plain = small_png();
  const Image expected = upright(decode_image(plain, "a"), 6);
  const Bytes exif = exif_of(4, false, 6);
  std::string digits = "\nexif\n      26\n";
  for (const std::uint8_t byte : exif)
    digits += fmt::format("{:02x}{}", byte, digits.size() % 70 > 67 ? "\n" : "");
  const std::string text = std::string("Raw profile type exif") + '\0' + digits;
  for (const Bytes& added : {chunk("eXIf", exif), chunk("tEXt", Bytes(text.begin(), text.end()))}) {
    for (const std::size_t at : {std::size_t{33}, plain.size() - 12}) {
      Bytes file = plain;
      file.insert(file.begin() + static_cast<std::ptrdiff_t>(at), added.begin(), added.end());
      const Image image = decode_image(file, "a");
      EXPECT_EQ(image.size(), (ImageSize{3, 2}));
      EXPECT_EQ(image.pixels, expected.pixels) << at;
    }
  }
}

/// Where a box of the picture as it was seen lies in the stored one.
Box stored_box(const Box& seen, ImageSize size, int orientation) {
  const Mirrored mirrored = mirrored_by(orientation);
  Box box = seen;
  if (mirrored.rows) box.top = size.height - seen.top - seen.height;
  if (mirrored.columns) box.left = size.width - seen.left - seen.width;
  if (orientation >= 5) {
    std::swap(box.top, box.left);
    std::swap(box.height, box.width);
  }
  return box;
}

TEST(Exif, APartOfATurnedPictureIsThatOfTheStoredOne) {
  for (const auto& [height, width] : {std::pair(203, 301), std::pair(150, 211), std::pair(207, 145)}) {
    const Bytes plain = encode_jpeg(make_picture(height, width), {95, false, false});
    for (int orientation = 2; orientation <= 8; ++orientation) {
      const bool exchanged = orientation >= 5;
      const ImageSize seen = exchanged ? ImageSize{width, height} : ImageSize{height, width};
      for (const int divisor : {1, 2, 4, 8}) {
        const Box box{8, 24, 80, 96, true};
        const ImageSize out{80 / divisor, 96 / divisor};
        const auto choose = [&](ImageSize size) {
          EXPECT_EQ(size, seen);
          return box;
        };
        const ImagePart part = decode_part(turned(plain, orientation), "a", choose, out);
        const Box there = stored_box(box, seen, orientation);
        const ImageSize out_there = exchanged ? ImageSize{out.width, out.height} : out;
        const ImagePart stored = decode_part(
            plain, "a", [&](ImageSize) { return there; }, out_there);
        const Image expected = upright(resized(stored.image, stored.box, out_there), orientation);
        EXPECT_LE(difference(resized(part.image, part.box, out), expected), 1)
            << height << "x" << width << ", orientation " << orientation << ", 1/" << divisor;
      }
    }
  }
}

std::string problem(const Bytes& file) {
  return message_of([&] { decode_image(file, "a.file"); });
}

TEST(Whole, AJpegThatLacksItsEndAlone) {
  const Image picture = make_picture(40, 61);
  for (const JpegOptions& options :
       {JpegOptions{}, {90, true, true}, {90, false, false, true}, {90, true, false, false, 2}}) {
    const Bytes file = encode_jpeg(picture, options);
    const Image whole = decode_image(file, "a");
    EXPECT_FALSE(whole.lacks_end);
    for (const std::size_t missing : {1u, 2u}) {
      const Bytes cut(file.begin(), file.end() - static_cast<std::ptrdiff_t>(missing));
      const Image image = decode_image(cut, "a");
      EXPECT_TRUE(image.lacks_end);
      EXPECT_EQ(image.pixels, whole.pixels);
      const Image seen = decode_image(turned(cut, 3), "a");
      EXPECT_TRUE(seen.lacks_end);
      const auto top = [](ImageSize) { return Box{0, 0, 8, 8, true}; };
      EXPECT_TRUE(decode_part(cut, "a", top, {8, 8}).image.lacks_end);
    }
    EXPECT_EQ(problem(Bytes(file.begin(), file.end() - 3)), "a.file: a damaged JPEG file: it ends early");
    EXPECT_EQ(message_of([&] {
                const auto top = [](ImageSize) { return Box{0, 0, 8, 8, true}; };
                decode_part(Bytes(file.begin(), file.end() - 9), "a.file", top, {8, 8});
              }),
              "a.file: a damaged JPEG file: it ends early");
  }
}

TEST(Whole, AJpegThatLacksAScanIsDamaged) {
  for (const bool progressive : {true, false}) {
    const Bytes file = encode_jpeg(make_picture(40, 61), {90, true, progressive, !progressive});
    int scans = 0;
    for (std::size_t at = 0; at + 1 < file.size(); ++at) {
      if (file[at] != 0xFF || file[at + 1] != 0xDA || scans++ == 0) continue;
      EXPECT_EQ(problem(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(at))),
                "a.file: a damaged JPEG file: it ends early")
          << scans;
    }
    EXPECT_GE(scans, 3);
  }
  const Bytes file = encode_jpeg(make_picture(40, 61), {90, true, false, false, 2});
  int restarts = 0;
  for (std::size_t at = 0; at + 1 < file.size(); ++at) {
    if (file[at] != 0xFF || file[at + 1] < 0xD0 || file[at + 1] > 0xD7) continue;
    ++restarts;
    EXPECT_EQ(problem(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(at))),
              "a.file: a damaged JPEG file: it ends early");
  }
  EXPECT_GE(restarts, 3);
}

TEST(Whole, APngThatLacksItsEndAlone) {
  const Bytes file = small_png();
  const Image whole = decode_image(file, "a");
  EXPECT_FALSE(whole.lacks_end);
  for (std::ptrdiff_t missing = 1; missing <= 12; ++missing) {
    const Image image = decode_image(Bytes(file.begin(), file.end() - missing), "a");
    EXPECT_TRUE(image.lacks_end);
    EXPECT_EQ(image.pixels, whole.pixels);
  }
  EXPECT_EQ(problem(Bytes(file.begin(), file.end() - 13)), "a.file: a damaged PNG file: it ends early");
  expect_contains(problem(Bytes(file.begin(), file.begin() + 33)), {"a.file: a damaged PNG file: "});
}

TEST(Whole, KindsOfJpegThatAreNotSupportedAreNotDamaged) {
  Bytes file = encode_jpeg(make_picture(20, 30));
  const Bytes frame{0xFF, 0xC0};
  const auto at = std::search(file.begin(), file.end(), frame.begin(), frame.end());
  ASSERT_NE(at, file.end());
  at[4] = 12;
  expect_contains(problem(file), {"a.file: a JPEG file of a kind that is not supported: ", "precision 12"});
}

TEST(Whole, WhatIsNoPictureIsNamed) {
  const auto of_text = [](const std::string& text) { return problem(Bytes(text.begin(), text.end())); };
  const std::string box("\0\0\0\x1c", 4);
  expect_contains(of_text(box + "ftypmif1" + std::string(4, '\0') + "mif1avifmiaf"), {"an AVIF file"});
  expect_contains(of_text(box + "ftypmif1" + std::string(4, '\0') + "mif1heicmiaf"), {"a HEIC file"});
  expect_contains(of_text(box + "ftypisom" + std::string(4, '\0') + "isomiso2mp41"), {"a film"});
  for (const char* page : {"<!-- x --><html>", "<?xml version='1.0'?><!DOCTYPE html>", "\xEF\xBB\xBF<HTML>"})
    expect_contains(of_text(page), {"an HTML page"});
  expect_contains(of_text(""), {"the file is empty"});
}

}  // namespace
}  // namespace convoy::testing
