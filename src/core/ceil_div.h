// Tiles over an extent.
#pragma once

#include <cstdint>

namespace convoy {

/// How many tiles cover the extent.
constexpr std::int64_t ceil_div(std::int64_t extent, std::int64_t tile) {
  return (extent + tile - 1) / tile;
}

}  // namespace convoy
