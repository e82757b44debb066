#include "src/io/image_format.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "core/error.h"

namespace convoy {
namespace {

using namespace std::string_view_literals;
using Bytes = std::span<const std::uint8_t>;

constexpr const char* formats = "JPEG, PNG, WebP, BMP and TIFF";

bool holds(Bytes bytes, std::size_t at, std::string_view text) {
  return bytes.size() >= at + text.size() &&
         std::equal(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

/// Of other kinds of files that are found in folders of pictures.
struct Foreign {
  std::size_t at;
  std::string_view text;
  const char* what;
};
constexpr Foreign foreign[] = {
    {0, "GIF8"sv, "a GIF file"},          {0, "\0\0\0\x0CJXL "sv, "a JPEG XL file"},
    {0, "\xFF\x0A"sv, "a JPEG XL file"},  {0, "\0\0\0\x0CjP  "sv, "a JPEG 2000 file"},
    {0, "8BPS"sv, "a Photoshop file"},    {0, "%PDF"sv, "a PDF file"},
    {0, "PK\x03\x04"sv, "a ZIP archive"}, {0, "\x1F\x8B"sv, "a gzipped file"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
};

/// What a file of the MP4 family is, by the brands that it says it is compatible with.
const char* describe_brands(Bytes bytes) {
  const Bytes box = bytes.first(std::min<std::size_t>(bytes.size(), 64));
  const std::string brands(box.begin(), box.end());
  const auto has = [&](const char* brand) { return brands.find(brand, 8) != std::string::npos; };
  if (has("avif") || has("avis")) return "an AVIF file";
  if (has("heic") || has("heix") || has("hevc") || has("hevx") || has("heim") || has("heis") || has("mif1") ||
      has("msf1"))
    return "a HEIC file";
  return "a film or another file of the MP4 family";
}

/// A text's first words in lower case, blanks before them left out.
std::string begin_of_text(Bytes bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes.first(std::min<std::size_t>(bytes.size(), 256))) {
    const bool blank =
        std::isspace(byte) != 0 || byte == 0xEF || byte == 0xBB || byte == 0xBF;  // UTF-8's mark
    if (!(blank && text.empty())) text += static_cast<char>(std::tolower(byte));
  }
  return text;
}

}  // namespace

const char* name_of(ImageFormat format) {
  constexpr std::array<const char*, image_format_count> names{"JPEG", "PNG", "WebP", "BMP", "TIFF"};
  return names[static_cast<std::size_t>(format)];
}

std::optional<ImageFormat> image_format(Bytes bytes) {
  if (holds(bytes, 0, "\xFF\xD8\xFF"sv)) return ImageFormat::jpeg;
  if (holds(bytes, 0, "\x89PNG\r\n\x1A\n"sv)) return ImageFormat::png;
  if (holds(bytes, 0, "RIFF"sv) && holds(bytes, 8, "WEBP"sv)) return ImageFormat::webp;
  if (holds(bytes, 0, "II*\0"sv) || holds(bytes, 0, "MM\0*"sv) || holds(bytes, 0, "II+\0"sv) ||
      holds(bytes, 0, "MM\0+"sv))
    return ImageFormat::tiff;
  // "BM" could begin any text; the size of the header that follows is no letter.
  if (holds(bytes, 0, "BM"sv) && bytes.size() > 17 && bytes[14] >= 12 && bytes[14] <= 124 &&
      holds(bytes, 15, "\0\0\0"sv))
    return ImageFormat::bmp;
  return std::nullopt;
}

std::string describe_foreign_file(Bytes bytes) {
  for (const Foreign& kind : foreign)
    if (holds(bytes, kind.at, kind.text)) return fmt::format("{}; Convoy reads {}", kind.what, formats);
  if (holds(bytes, 4, "ftyp"sv)) return fmt::format("{}; Convoy reads {}", describe_brands(bytes), formats);
  const std::string text = begin_of_text(bytes);
  if (text.starts_with("version https://git-lfs"))
    return "a Git LFS pointer, not the picture itself: `git lfs pull` fetches it";
  const auto has = [&](const char* tag) { return text.find(tag) != std::string::npos; };
  if (text.starts_with('<') &&
      (has("<!doctype html") || has("<html") || has("<head") || has("<body") || has("<script")))
    return "an HTML page, probably from a failed download: download the picture again";
  if (text.starts_with("<svg") || text.starts_with("<?xml"))
    return fmt::format("an SVG or XML file; Convoy reads {}", formats);
  if (std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; }))
    return "only zero bytes, probably from an interrupted copy: copy the picture again";
  return "not a JPEG, PNG, WebP, BMP or TIFF file";
}

std::string lower_ending(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

bool has_picture_ending(const std::filesystem::path& path) {
  constexpr std::array endings{".jpg"sv, ".jpeg"sv, ".png"sv, ".webp"sv, ".bmp"sv, ".tif"sv, ".tiff"sv};
  return std::find(endings.begin(), endings.end(), lower_ending(path)) != endings.end();
}

}  // namespace convoy
