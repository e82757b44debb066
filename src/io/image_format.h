// Which kind of picture a file holds, by its content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace convoy {

enum class ImageFormat { jpeg, png, webp, bmp, tiff };
inline constexpr int image_format_count = 5;

/// "JPEG".
const char* name_of(ImageFormat format);

/// By its first bytes; nothing where it is none of these.
std::optional<ImageFormat> image_format(std::span<const std::uint8_t> bytes);

/// What a file that is none of these is, as the end of a sentence: "a GIF file; Convoy reads JPEG, ...".
std::string describe_foreign_file(std::span<const std::uint8_t> bytes);

/// Endings of picture files, in lists of a folder's files; what a file holds is decided by its content.
inline constexpr const char* picture_endings = ".jpg, .jpeg, .png, .webp, .bmp, .tif or .tiff";
/// Whether a file's name has one of them, in any case.
bool has_picture_ending(const std::filesystem::path& path);
/// The ending in lower case, ".jpg"; empty where there is none.
std::string lower_ending(const std::filesystem::path& path);

}  // namespace convoy
