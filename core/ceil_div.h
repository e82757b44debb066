// Tiles over an extent.
#pragma once

#include <concepts>
#include <type_traits>

namespace convoy {

/// How many tiles cover the extent; neither is negative. In device code, too.
template <std::integral Extent, std::integral Tile>
constexpr std::common_type_t<Extent, Tile> ceil_div(Extent extent, Tile tile) {
  return (extent + tile - 1) / tile;
}

}  // namespace convoy
