// Where things lie in a packed file (packed.h), for those who write and read it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace convoy {

inline constexpr std::array<char, 8> packed_magic{'C', 'O', 'N', 'V', 'O', 'Y', 'I', 'M'};
inline constexpr int packed_version = 2;
inline constexpr std::uint64_t packed_text = 24, packed_alignment = 4096;
inline constexpr int packed_most_side = 16384;

/// Offsets in bytes.
struct PackedLayout {
  PackedLayout() = default;
  PackedLayout(std::uint64_t text_bytes, std::uint64_t samples, std::uint64_t image);
  std::uint64_t images = 0, image_bytes = 0, labels = 0, end = 0;
};

/// Of the header's text and the labels as they are stored.
std::uint64_t packed_hash(std::span<const std::byte> text, std::span<const std::byte> labels);

}  // namespace convoy
