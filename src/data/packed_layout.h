// Where things lie in a packed file (packed.h), for those who write and read it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace convoy {

inline constexpr std::array<char, 8> packed_magic{'C', 'O', 'N', 'V', 'O', 'Y', 'I', 'M'};
inline constexpr int packed_version = 3;
inline constexpr int packed_version_with_sums = 3;
inline constexpr std::uint64_t packed_text = 24, packed_alignment = 4096;
inline constexpr int packed_most_side = 16384;
inline constexpr std::uint64_t packed_longest_text = std::uint64_t{1} << 26;  ///< a million classes fit

/// Offsets in bytes.
struct PackedLayout {
  PackedLayout() = default;
  /// `with_sums`: a checksum of each image stands behind the labels.
  PackedLayout(std::uint64_t text_bytes, std::uint64_t samples, std::uint64_t image, bool with_sums);
  std::uint64_t text_end = 0, images = 0, image_bytes = 0, labels = 0, end = 0;
};

/// The checksum of an image. Words of 8 bytes are multiplied in pairs, each with a key of its place, and the
/// two halves of the products added up, as wyhash does (Wang Yi, github.com/wangyi-fudan/wyhash): four times
/// as fast as hash_of(), so that it can be compared whenever an image is read.
std::uint64_t packed_image_hash(std::span<const std::byte> pixels);

/// Of the header's text and of all that stands behind the images.
std::uint64_t packed_hash(std::span<const std::byte> text, std::span<const std::byte> tail);

}  // namespace convoy
