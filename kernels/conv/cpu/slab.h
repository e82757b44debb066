// Slabs: the input of a box of a convolution's outputs on the CPU. A slab is a dense piece of the image whose
// padding is written out as zeros. The address of a filter tap is that of the output plus an offset of the
// tap.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/conv/conv.h"

namespace convoy {

/// One axis. Position i < count is coordinate first + i * step of the output; tap j < taps, which is weight
/// tap tap + j * tap_step, reads coordinate i * scale + offset + j * offset_step of the input.
struct AxisMap {
  int count = 0, first = 0, step = 1;
  int taps = 0, tap = 0, tap_step = 1;
  int scale = 1, offset = 0, offset_step = 1;

  int low() const;  ///< of offset + j * offset_step
  int high() const;
};
using AxisMaps = std::array<AxisMap, 3>;

/// y positions reading x.
AxisMaps forward_maps(const ConvShape& shape);
/// dx positions reading dy. With a stride, positions of equal remainder share their taps: one phase for each.
int gradient_phases(const ConvShape& shape);
AxisMaps gradient_maps(const ConvShape& shape, int phase);

/// Positions [first, last) per axis; the last axis is never cut.
struct OutputBox {
  std::array<int, 3> first, last;
  int count(int axis) const { return last[axis] - first[axis]; }
  std::int64_t pixels() const { return std::int64_t{count(0)} * count(1) * count(2); }
};

/// The images' outputs cut into boxes whose input fits the second-level cache, fixed by the shape alone.
class OutputBoxes {
 public:
  OutputBoxes(const AxisMaps& maps, const FeatureShape& input, int images);
  std::int64_t count() const { return images_ * per_image_; }
  int image(std::int64_t index) const { return static_cast<int>(index / per_image_); }
  OutputBox box(std::int64_t index) const;

 private:
  std::array<int, 3> length_, cut_;
  std::int64_t images_ = 0, per_image_ = 0;
};

/// The address of element (position 0 of the box, tap 0, channel 0), and the strides to its neighbours.
struct Slab {
  const float* data = nullptr;
  std::array<std::int64_t, 3> stride{};  ///< floats from one input coordinate to the next
};

/// True when no position reads padding: the image itself serves as the slab.
bool reads_inside(const AxisMaps& maps, const FeatureShape& input);
/// Floats that load_slab writes for the box.
std::int64_t slab_size(const AxisMaps& maps, const FeatureShape& input, const OutputBox& box);
/// The image itself where it can serve, else a copy in `buffer`. The image's pixels are `pitch` floats apart,
/// of which the first input.c are read.
Slab load_slab(const AxisMaps& maps, const FeatureShape& input, const OutputBox& box, const float* image,
               int pitch, float* buffer);

/// Calls visit(weight tap, offset in the slab) for every tap, in the order of the weights.
template <class Visit>
void for_each_slab_tap(const ConvShape& shape, const AxisMaps& maps, const Slab& slab, Visit&& visit) {
  const auto& [d, h, w] = maps;
  for (int i = 0; i < d.taps; ++i) {
    for (int j = 0; j < h.taps; ++j) {
      for (int l = 0; l < w.taps; ++l) {
        const std::int64_t tap =
            (std::int64_t{d.tap + i * d.tap_step} * shape.r + h.tap + j * h.tap_step) * shape.s + w.tap +
            l * w.tap_step;
        visit(tap, i * d.offset_step * slab.stride[0] + j * h.offset_step * slab.stride[1] +
                       l * w.offset_step * slab.stride[2]);
      }
    }
  }
}

}  // namespace convoy
