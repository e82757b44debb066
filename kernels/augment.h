// From stored bytes to the network's input: gather, crop, flip, normalise, in one pass.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/host_device.h"
#include "core/random.h"
#include "core/shape.h"
#include "core/step_state.h"
#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

enum class PadMode : std::uint8_t { zero, reflect };

/// Which halves of the images are mirrored: left and right (horizontal), top and bottom (vertical), each by a
/// draw of its own.
enum class Flip : std::uint8_t { none, horizontal, vertical, both };

/// Where an augmented pixel comes from: output (d,h,w) reads the stored pixel (d, upside_down ? H-1-h' : h',
/// flip ? W-1-w' : w'), h' = h + dh, w' = w + dw, after reflecting or zero-filling outside the image.
struct ImageShift {
  int dh = 0, dw = 0;
  bool flip = false, upside_down = false;
  CONVOY_HOST_DEVICE bool moves() const { return dh != 0 || dw != 0 || flip || upside_down; }
};

/// The crop and flip of one sample in one epoch: the same on every device and rank count.
CONVOY_HOST_DEVICE inline ImageShift image_shift(std::uint64_t seed, std::int32_t epoch, std::int32_t sample,
                                                 int crop_pad, Flip flip) {
  const Random4 r =
      random4(seed, Purpose::augment, static_cast<std::uint32_t>(epoch), static_cast<std::uint64_t>(sample));
  const auto span = static_cast<std::uint32_t>(2 * crop_pad + 1);
  ImageShift shift;
  shift.dh = static_cast<int>(uniform_below(r.v[0], span)) - crop_pad;
  shift.dw = static_cast<int>(uniform_below(r.v[1], span)) - crop_pad;
  shift.flip = (flip == Flip::horizontal || flip == Flip::both) && (r.v[2] >> 31) != 0;
  shift.upside_down = (flip == Flip::vertical || flip == Flip::both) && (r.v[3] >> 31) != 0;
  return shift;
}

/// -i for i < 0, 2 (length - 1) - i for i >= length: reflection that does not repeat the edge. |shift| <
/// length.
CONVOY_HOST_DEVICE inline int reflect(int i, int length) {
  if (i < 0) return -i;
  return i >= length ? 2 * (length - 1) - i : i;
}

/// Random factors for brightness, contrast and saturation, in this order, each uniform in [1 - s, 1 + s]
/// (never below 0) for its strength s. With v in [0, 1], every result clamped to it, and gray = 0.299 r +
/// 0.587 g + 0.114 b (the mean of the channels where there are not three), as torchvision's ColorJitter has
/// it: v = f v; v = m + f (v - m) with m the mean gray of the image; v = g + f (v - g) with g the pixel's
/// gray. Last, in images of three channels, the hue moves by a share of its circle that is uniform in
/// [-hue, hue], while the largest and the smallest channel keep their values (`Hexcone`).
struct ColorJitter {
  float brightness = 0, contrast = 0, saturation = 0;
  float hue = 0;  ///< at most 0.5: all hues alike
  CONVOY_HOST_DEVICE bool any() const { return brightness > 0 || contrast > 0 || saturation > 0 || hue > 0; }
};

/// With this probability a rectangle of the image becomes 0 in x, the mean of normalised images: Zhong,
/// Zheng, Kang, Li, Yang, "Random Erasing Data Augmentation", AAAI 2020. Its share of the image and its
/// height over its width are uniform in their ranges, its place among those inside the image; one that does
/// not fit is drawn again, up to ten times.
struct RandomErasing {
  float probability = 0;
  float min_area = 0.02f, max_area = 0.33f;
  float min_ratio = 0.3f, max_ratio = 3.3f;
};

/// x (N,D,H,W,C) = pixel / 255 * scale + shift per channel (a padded pixel is the stored value 0 before that:
/// black), y (N) = label. Image i is sample `order[state.first + first + i]`; its pixels are the row of that
/// sample in a resident data set, else row `staged` + i of slot `state.slot` of the staged batches, or row i
/// of what Retouch made of them; its label is always the sample's. Then, where asked for, colour (which sees
/// the crop), erasing, and the blend of state.blend with the partner, the next image of the batch with its
/// own crop, colour and erasing: image i + 1, of the last one the sample `order[state.first + after]`, in the
/// row behind the others. y_partner (N) is its label.
struct Augment {
  static constexpr const char* name = "augment";
  int n = 0;
  int first = 0;   ///< this rank's first image within the global batch
  int staged = 0;  ///< of a slot: the row of its first image
  FeatureShape image;
  bool resident = true;
  bool retouched = false;  ///< not resident: images are those of this step, already cropped and flipped
  int crop_pad = 0;        ///< 0: no crop
  PadMode pad_mode = PadMode::zero;
  Flip flip = Flip::none;
  ColorJitter jitter = {};
  RandomErasing erasing = {};
  bool blends = false;
  int after = 0;
  /// u8: (samples,D,H,W,C), staged (staging_slots,rows,D,H,W,C) with rows >= staged + N, retouched
  /// (N,D,H,W,C); with blends one row more than N.
  Tensor images;
  Tensor labels, order;  ///< i32 (samples), i32
  Tensor scale, shift;   ///< (C): 1 / std and -mean / std
  Tensor x, y;
  Tensor y_partner = {};  ///< absent unless images are blended
  /// Whether all is done by crop and flip, which need no more than a pixel at a time.
  bool plain() const { return !jitter.any() && erasing.probability <= 0 && !blends; }
  /// From a slot to the next. A short batch leaves a slot's last rows alone.
  std::int64_t slot_rows() const { return retouched ? 0 : images.count / (staging_slots * image.count()); }
  std::int64_t flops() const { return 2 * n * image.count(); }
  std::string describe() const { return fmt::format("n={} {}", n, to_string(image)); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.images), v.reads(call.labels), v.reads(call.order), v.reads(call.scale), v.reads(call.shift);
    v.writes(call.x), v.writes(call.y), v.writes(call.y_partner);
  }
};

CONVOY_LAUNCHERS(Augment);

}  // namespace convoy
