// The tiles that were measured to be fastest, and the keys that they are stored under. Plain C++, so that
// tests need no GPU.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "kernels/conv/cuda/plan.h"

namespace convoy {

/// Measured: a product's name (tile_key) -> index into its family's tiles.
struct TileChoices {
  std::map<std::string, std::size_t> tiles;
};

/// The key of a product of one family. Two launches have the same key only if their kernels and shapes are
/// the same.
inline std::string tile_key(const char* product, const char* family, DType stored, const ConvShape& s,
                            int splits) {
  const auto axes = [](const Axes& a) { return fmt::format("{},{},{}", a[0], a[1], a[2]); };
  return fmt::format("{} {} {} n={} {}x{}x{}x{} k={} {}x{}x{} stride={} pad={} dilation={} splits={}",
                     product, family, name_of(stored), s.n, s.in.d, s.in.h, s.in.w, s.in.c, s.k, s.t, s.r,
                     s.s, axes(s.stride), axes(s.pad), axes(s.dilation), splits);
}

/// The measured tile of a product, unless the family has no such tile or it needs more shared memory than the
/// device has.
inline std::optional<std::size_t> measured_tile(const TileChoices& choices, const std::string& key,
                                                std::span<const TileShape> tiles, const Gpu& gpu) {
  const auto found = choices.tiles.find(key);
  if (found == choices.tiles.end() || found->second >= tiles.size()) return std::nullopt;
  if (!fits(tiles[found->second], gpu)) return std::nullopt;
  return found->second;
}

/// Changes with the tiles that indices mean, and with kernel_generation.
inline std::string tile_tables_id() {
  constexpr int kernel_generation = 1;  // raise it when kernels change so much that old timings mislead
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  const auto add = [&](int value) { hash = (hash ^ static_cast<std::uint64_t>(value)) * 1099511628211u; };
  add(kernel_generation);
  for (const MathUnit& unit : {ffma_cores, tf32_tensor_cores, half_tensor_cores, turing_tensor_cores,
                               warpgroups, wgrad_warpgroups}) {
    add(static_cast<int>(unit.tiles.size()));
    for (const TileShape& tile : unit.tiles)
      add(tile.m), add(tile.n), add(tile.threads), add(tile.shared_bytes);
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace convoy
