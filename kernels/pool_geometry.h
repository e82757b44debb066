// Index arithmetic of pooling for the CUDA kernels, in plain C++ so that a test can run it without a GPU.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "kernels/fast_divide.h"
#include "kernels/pool.h"

namespace convoy {

/// A pooling whose channels move in packs, and the split of a flat index over (N,D,H,W,packs) or
/// (N,O,P,Q,packs).
struct PoolGeometry {
  PoolAxis d, h, w;
  int packs = 1;       ///< channels / width of a pack
  float inv_taps = 1;  ///< 1 / taps of the whole window, padding included
  bool count_padding = true;
  FastDivide
      by_packs;  ///< splitters of the side that has one thread per element: the output's or the input's
  FastDivide by_w, by_h, by_d;

  struct Position {
    int image, d, h, w, pack;
  };
  CONVOY_HOST_DEVICE Position position(std::uint32_t index) const {
    Position p{};
    p.pack = static_cast<int>(by_packs.divide(index));
    p.w = static_cast<int>(by_w.divide(index));
    p.h = static_cast<int>(by_h.divide(index));
    p.d = static_cast<int>(by_d.divide(index));
    p.image = static_cast<int>(index);
    return p;
  }
  /// What the mean of a window divides by.
  CONVOY_HOST_DEVICE int counted(int od, int oh, int ow) const {
    return d.counted(od, count_padding) * h.counted(oh, count_padding) * w.counted(ow, count_padding);
  }
  CONVOY_HOST_DEVICE std::int64_t in_pack(const Position& p, int id, int ih, int iw) const {
    return (((std::int64_t{p.image} * d.in + id) * h.in + ih) * w.in + iw) * packs + p.pack;
  }
  CONVOY_HOST_DEVICE std::int64_t out_pack(const Position& p, int od, int oh, int ow) const {
    return (((std::int64_t{p.image} * d.out + od) * h.out + oh) * w.out + ow) * packs + p.pack;
  }
};

/// `per_input`: one thread per input pack (backward), else one per output pack (forward).
inline PoolGeometry pool_geometry(const PoolShape& shape, int pack_width, bool per_input) {
  PoolGeometry g;
  g.d = shape.axis(0), g.h = shape.axis(1), g.w = shape.axis(2);
  g.count_padding = shape.count_padding;
  g.packs = shape.in.c / pack_width;
  g.inv_taps = 1.0f / static_cast<float>(shape.taps());
  const auto divide_by = [](int divisor) { return FastDivide(static_cast<std::uint32_t>(divisor)); };
  g.by_packs = divide_by(g.packs);
  g.by_w = divide_by(per_input ? g.w.in : g.w.out);
  g.by_h = divide_by(per_input ? g.h.in : g.h.out);
  g.by_d = divide_by(per_input ? g.d.in : g.d.out);
  return g;
}

}  // namespace convoy
