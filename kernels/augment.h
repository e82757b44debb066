// From stored bytes to the network's input: gather, crop, flip, normalise, in one pass.
#pragma once

#include <fmt/format.h>

#include <string>

#include "kernels/contexts.h"
#include "src/core/random.h"
#include "src/core/shape.h"
#include "src/core/step_state.h"
#include "src/core/tensor.h"

namespace convoy {

enum class PadMode : std::uint8_t { zero, reflect };

/// Where an augmented pixel comes from: output (d,h,w) reads the stored pixel (d, h + dh, flip ? W-1-w' :
/// w'), w' = w + dw, after reflecting or zero-filling outside the image.
struct ImageShift {
  int dh = 0, dw = 0;
  bool flip = false;
};

/// The crop and flip of one sample in one epoch: the same on every device and rank count.
CONVOY_HOST_DEVICE inline ImageShift image_shift(std::uint64_t seed, std::int32_t epoch, std::int32_t sample,
                                                 int crop_pad, bool flip) {
  const Random4 r =
      random4(seed, Purpose::augment, static_cast<std::uint32_t>(epoch), static_cast<std::uint64_t>(sample));
  const auto span = static_cast<std::uint32_t>(2 * crop_pad + 1);
  ImageShift shift;
  shift.dh = static_cast<int>(uniform_below(r.v[0], span)) - crop_pad;
  shift.dw = static_cast<int>(uniform_below(r.v[1], span)) - crop_pad;
  shift.flip = flip && (r.v[2] >> 31) != 0;
  return shift;
}

/// -i for i < 0, 2 (length - 1) - i for i >= length: reflection that does not repeat the edge. |shift| <
/// length.
CONVOY_HOST_DEVICE inline int reflect(int i, int length) {
  if (i < 0) return -i;
  return i >= length ? 2 * (length - 1) - i : i;
}

/// x (N,D,H,W,C) = pixel / 255 * scale + shift per channel (a padded pixel is the stored value 0 before that:
/// black), y (N) = label. Image i is sample `order[state.first + first + i]`; its pixels are the row of that
/// sample in a resident data set, else row `staged` + i of slot `state.slot` of the staged batches; its label
/// is always the sample's.
struct Augment {
  static constexpr const char* name = "augment";
  int n = 0;
  int first = 0;   ///< this rank's first image within the global batch
  int staged = 0;  ///< of a slot: the row of its first image
  FeatureShape image;
  bool resident = true;
  int crop_pad = 0;  ///< 0: no crop
  PadMode pad_mode = PadMode::zero;
  bool flip = false;
  Tensor images;  ///< u8 (samples,D,H,W,C), staged (staging_slots,rows,D,H,W,C) with rows >= staged + N
  Tensor labels, order;  ///< i32 (samples), i32
  Tensor scale, shift;   ///< (C): 1 / std and -mean / std
  Tensor x, y;
  /// Rows of a slot; a short batch leaves its last ones alone.
  std::int64_t slot_rows() const { return images.count / (staging_slots * image.count()); }
  std::int64_t flops() const { return 2 * n * image.count(); }
  std::string describe() const { return fmt::format("n={} {}", n, to_string(image)); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.images), v.reads(call.labels), v.reads(call.order), v.reads(call.scale), v.reads(call.shift);
    v.writes(call.x), v.writes(call.y);
  }
};

CONVOY_LAUNCHERS(Augment);

}  // namespace convoy
