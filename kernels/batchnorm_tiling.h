// How the CUDA batch normalisation cuts x (N·pixels rows, C) into blocks, in plain C++ so that a test can run
// it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/ceil_div.h"
#include "core/host_device.h"
#include "kernels/batchnorm.h"

namespace convoy {

/// A block works on one slice of the rows of one group and on `lanes` packs of channels: thread (lane, row)
/// with lanes · rows = 256. Every quantity follows from the shape alone, so that results never depend on the
/// device.
struct BatchNormTiling {
  static constexpr int block = 256;
  static constexpr int rows_at_once = 4;       ///< a slice gives each thread a multiple of them
  static constexpr std::int64_t target = 512;  ///< blocks that fill the largest devices

  int n = 0, first = 0, group = 1;  ///< of the BatchNormShape
  int first_group = 0, groups = 0;  ///< groups with images on this rank
  int lanes = 1, rows = block;
  int packs = 1, pack_tiles = 1;  ///< packs of channels in a row, blocks across them
  int slices = 1;                 ///< blocks along the rows of a group
  std::int64_t pixels = 1, slice_rows = 1;

  struct Rows {
    std::int64_t begin, end;
  };
  /// Rows of this rank that belong to slice `slice` of group `first_group + g`; begin >= end when none do.
  CONVOY_HOST_DEVICE Rows rows_of(int g, int slice) const {
    const std::int64_t start = std::int64_t{first_group + g} * group - first;
    const std::int64_t from = (start > 0 ? start : 0) * pixels;
    const std::int64_t to = (start + group < n ? start + group : n) * pixels;
    const std::int64_t begin = from + slice * slice_rows;
    return {begin, begin + slice_rows < to ? begin + slice_rows : to};
  }
};

/// For n > 0. `one_group`: inference, where images of all groups are treated alike.
inline BatchNormTiling batchnorm_tiling(const BatchNormShape& shape, int pack_width, bool one_group = false) {
  BatchNormTiling t;
  t.n = shape.n;
  t.first = one_group ? 0 : shape.first;
  t.group = one_group ? shape.n : shape.group;
  t.pixels = shape.pixels;
  t.first_group = t.first / t.group;
  t.groups = ceil_div(t.first + t.n, t.group) - t.first_group;
  t.packs = shape.c / pack_width;
  while (t.lanes < 32 && t.lanes < t.packs) t.lanes *= 2;
  t.rows = BatchNormTiling::block / t.lanes;
  t.pack_tiles = ceil_div(t.packs, t.lanes);
  const std::int64_t rows_per_group = std::min(t.group, t.n) * t.pixels;
  const std::int64_t step = std::int64_t{t.rows} * BatchNormTiling::rows_at_once;
  const std::int64_t wanted =
      std::max<std::int64_t>(BatchNormTiling::target / (std::int64_t{t.groups} * t.pack_tiles), 1);
  const std::int64_t steps = ceil_div(rows_per_group, step);
  t.slice_rows = ceil_div(steps, wanted) * step;
  t.slices = static_cast<int>(ceil_div(rows_per_group, t.slice_rows));
  return t;
}

}  // namespace convoy
