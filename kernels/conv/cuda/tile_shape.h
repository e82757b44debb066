// A tile as the cost model and the tuner see it, whichever family's kernel computes it. Plain C++.
#pragma once

#include <array>
#include <cstddef>

namespace convoy {

struct TileShape {
  int m, n, threads;
  double efficiency;  ///< share of the unit's peak that a full machine reaches, estimated; only ratios matter
  int shared_bytes = 0;  ///< where they exceed what every GPU gives a block
};

/// The shapes of a family's kernels, in the kernels' order.
template <class Kernel, std::size_t N>
constexpr std::array<TileShape, N> shapes_of(const std::array<Kernel, N>& kernels) {
  std::array<TileShape, N> shapes{};
  for (std::size_t i = 0; i < N; ++i) shapes[i] = kernels[i].shape();
  return shapes;
}

}  // namespace convoy
