// Changes of whole pictures in bytes, before they become numbers: gather, crop, flip, then a list of
// operations.
#pragma once

#include <fmt/format.h>

#include <string>

#include "kernels/augment.h"

namespace convoy {

/// What a list of operations may hold. Each does to u8 pictures what the class of torchvision's transforms.v2
/// in its comment does, in its tensor form, nearest neighbour and filled with 0.
enum class PictureOp : std::uint8_t {
  trivial_augment,  ///< TrivialAugmentWide
  rand_augment,     ///< RandAugment
  rotate,           ///< RandomRotation
  affine,           ///< RandomAffine
  gaussian_blur,    ///< GaussianBlur
  grayscale,        ///< RandomGrayscale
  posterize,        ///< RandomPosterize
  solarize,         ///< RandomSolarize
  equalize,         ///< RandomEqualize
  autocontrast,     ///< RandomAutocontrast
  sharpness,        ///< RandomAdjustSharpness
};
constexpr int picture_ops = 11;
constexpr const char* name_of(PictureOp op) {
  constexpr const char* names[picture_ops] = {"trivial_augment", "rand_augment", "rotate",    "affine",
                                              "gaussian_blur",   "grayscale",    "posterize", "solarize",
                                              "equalize",        "autocontrast", "sharpness"};
  return names[static_cast<int>(op)];
}

/// An operation and what it takes; which members count says their comment.
struct PictureOperation {
  PictureOp op = PictureOp::trivial_augment;
  float probability = 1;                     ///< that an image is changed
  int bits = 8;                              ///< posterize: the highest ones, which are kept
  float threshold = 255;                     ///< solarize: bytes from it on are inverted
  float factor = 1;                          ///< sharpness: 0 blurs, 1 changes nothing, 2 sharpens
  float degrees = 0;                         ///< rotate, affine: the largest angle in either direction
  float translate_x = 0, translate_y = 0;    ///< affine: the largest shift, as a share of width and of height
  float min_scale = 1, max_scale = 1;        ///< affine
  float shear_x = 0, shear_y = 0;            ///< affine: the largest angle in either direction, in degrees
  int kernel = 3;                            ///< gaussian_blur: an odd number of pixels
  float min_sigma = 0.1f, max_sigma = 2.0f;  ///< gaussian_blur: in pixels
  int count = 2, magnitude = 9;              ///< rand_augment: n, and m of 0..30
  bool operator==(const PictureOperation&) const = default;
};

/// Row i of pictures (N,1,H,W,C) is image i of the step as Augment finds it, cropped and flipped as there,
/// then changed by the operations in their order. With `blends` a row N follows, the last one's partner. What
/// is drawn for an image is a function of seed, epoch and sample alone.
struct Retouch {
  static constexpr const char* name = "retouch";
  static constexpr int max_kernel = 63;  ///< of gaussian_blur
  static constexpr int max_count = 16;   ///< of rand_augment
  int n = 0;
  int first = 0;   ///< this rank's first image within the global batch
  int staged = 0;  ///< of a slot: the row of its first image
  FeatureShape image;
  bool resident = true;
  int crop_pad = 0;  ///< 0: no crop
  PadMode pad_mode = PadMode::zero;
  Flip flip = Flip::none;
  bool blends = false;
  int after = 0;  ///< place in the global batch of the last one's partner
  PictureOperation operations[picture_ops];
  int operation_count = 0;
  Tensor
      images;    ///< u8 (samples,1,H,W,C) or staged (staging_slots,rows,1,H,W,C) with rows >= staged + rows()
  Tensor order;  ///< i32
  Tensor pictures;
  std::int64_t rows() const { return n > 0 && blends ? n + 1 : n; }
  /// Of a slot; a short batch leaves its last ones alone.
  std::int64_t slot_rows() const { return images.count / (staging_slots * image.count()); }
  std::int64_t flops() const { return 0; }
  std::string describe() const {
    std::string text = fmt::format("n={} {}", n, to_string(image));
    for (int i = 0; i < operation_count; ++i) text += fmt::format(" {}", name_of(operations[i].op));
    return text;
  }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.images), v.reads(call.order), v.writes(call.pictures);
  }
};

/// A second picture per row.
template <>
inline std::int64_t workspace_bytes<CudaContext>(const Retouch& call) {
  return call.rows() * call.image.count();
}

CONVOY_LAUNCHERS(Retouch);

}  // namespace convoy
