// What Retouch draws for an image: changes with all their numbers. Every engine finds the same bits, because
// sums of products are written as fma() or are exact in double.
#pragma once

#include <math.h>

#include "kernels/augment_pixels.h"
#include "kernels/retouch.h"

namespace convoy {

/// What can be done to a picture (kernels/retouch_pixels.h).
enum class Effect : std::uint8_t {
  none,
  posterize,
  solarize,
  grayscale,
  autocontrast,
  equalize,
  brightness,
  contrast,
  saturation,
  sharpness,
  affine,
  blur
};

struct PictureChange {
  Effect effect = Effect::none;
  int size = 0;     ///< posterize: bits; blur: kernel
  float value = 0;  ///< solarize: threshold; brightness, contrast, saturation: ratio; blur: sigma
  float rest = 0;   ///< 1 - ratio, of sharpness, too
  /// affine: pixel (x,y) comes from the place (p0 x + p1 y + p2, p3 x + p4 y + p5), both counted from the
  /// image's middle, here in pixels and there in halves of its width and height.
  float place[6] = {};
};
constexpr int max_changes = picture_ops - 1 + Retouch::max_count;

/// a b + c, rounded to float. The product is exact in double, so it is the same whether or not a compiler
/// joins it with the sum, and at the precision of a fused multiply-add but for one case in 2^29.
CONVOY_HOST_DEVICE inline float fused(float a, float b, float c) {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c));
}
/// a / b as every device rounds it, whatever its compiler was told of divisions in float.
CONVOY_HOST_DEVICE inline float quotient(float a, float b) {
  return static_cast<float>(static_cast<double>(a) / static_cast<double>(b));
}

/// Cosine and sine of an angle in degrees, to a few units in the last place.
struct Turn {
  double cosine = 1, sine = 0;

  Turn() = default;
  CONVOY_HOST_DEVICE explicit Turn(double degrees) {
    const double quarters = rint(degrees / 90);
    const double x = fma(-90.0, quarters, degrees) * 0.017453292519943295, square = x * x;
    double even = 1, odd = 1;  // Taylor's series, from the inside: |x| is at most pi / 4
    for (int k = 18; k >= 2; k -= 2) even = fma(-square / (k * (k - 1)), even, 1.0);
    for (int k = 19; k >= 3; k -= 2) odd = fma(-square / (k * (k - 1)), odd, 1.0);
    odd *= x;
    switch (static_cast<int>(quarters - 4 * floor(quarters / 4))) {
      case 0:
        cosine = even, sine = odd;
        break;
      case 1:
        cosine = -odd, sine = even;
        break;
      case 2:
        cosine = -even, sine = -odd;
        break;
      default:
        cosine = odd, sine = -even;
    }
  }
  CONVOY_HOST_DEVICE double tangent() const { return sine / cosine; }
};

/// e^-t for t in [0, 64].
CONVOY_HOST_DEVICE inline double exp_of_minus(double t) {
  constexpr int squarings = 10;
  const double x = t / (1 << squarings);
  double value = 1;
  for (int k = 12; k >= 1; --k) value = fma(-x / k, value, 1.0);
  for (int i = 0; i < squarings; ++i) value *= value;
  return value;
}

/// The picture scaled, sheared and turned about a centre, then shifted, all in pixels from the middle.
struct AffineMotion {
  Turn turn;
  double shear_x = 0, shear_y = 0;  ///< tangents
  double scale = 1;
  double shift_x = 0, shift_y = 0;
  double center_x = 0, center_y = 0;
};
/// The inverse motion, as torchvision computes it: RotateScaleShear and its formulas are those of
/// transforms/v2/functional/_geometry.py.
CONVOY_HOST_DEVICE inline PictureChange affine_change(const AffineMotion& motion, const FeatureShape& image) {
  const auto [cosine, sine] = motion.turn;
  const double a = fma(sine, motion.shear_y, cosine), c = fma(-cosine, motion.shear_y, sine);
  const double b = -fma(a, motion.shear_x, sine), d = fma(-c, motion.shear_x, cosine);
  const double from[2][2] = {{d / motion.scale, -b / motion.scale}, {-c / motion.scale, a / motion.scale}};
  const double to_x = motion.center_x + motion.shift_x, to_y = motion.center_y + motion.shift_y;
  PictureChange change;
  change.effect = Effect::affine;
  for (int i = 0; i < 2; ++i) {
    const double rest =
        fma(-from[i][1], to_y, fma(-from[i][0], to_x, i == 0 ? motion.center_x : motion.center_y));
    const float half = 0.5f * static_cast<float>(i == 0 ? image.w : image.h);
    change.place[3 * i] = quotient(static_cast<float>(from[i][0]), half);
    change.place[3 * i + 1] = quotient(static_cast<float>(from[i][1]), half);
    change.place[3 * i + 2] = quotient(static_cast<float>(rest), half);
  }
  return change;
}
/// Counterclockwise.
CONVOY_HOST_DEVICE inline PictureChange rotation(double degrees, const FeatureShape& image) {
  AffineMotion motion;
  motion.turn = Turn(-degrees);
  return affine_change(motion, image);
}

CONVOY_HOST_DEVICE inline PictureChange change_by(Effect effect, double factor) {
  PictureChange change;
  change.effect = effect;
  change.value = static_cast<float>(factor), change.rest = static_cast<float>(1 - factor);
  return change;
}
CONVOY_HOST_DEVICE inline PictureChange posterized(int bits) {
  PictureChange change;
  change.effect = Effect::posterize, change.size = bits;
  return change;
}
CONVOY_HOST_DEVICE inline PictureChange solarized(float threshold) {
  PictureChange change;
  change.effect = Effect::solarize, change.value = threshold;
  return change;
}
CONVOY_HOST_DEVICE inline PictureChange blurred(int kernel, float sigma) {
  PictureChange change;
  change.effect = Effect::blur, change.size = kernel, change.value = sigma;
  return change;
}

/// TrivialAugment (wide) and RandAugment choose among so many operations and magnitudes.
constexpr int auto_operations = 14, magnitude_bins = 31;

/// Number `bin` of magnitude_bins values from begin to end, bit for bit torch.linspace in float32 on CPUs
/// with fused multiply-adds.
CONVOY_HOST_DEVICE inline float magnitude_of(int bin, float begin, float end) {
  constexpr int last = magnitude_bins - 1;
  const float step = quotient(end - begin, last);
  return bin < magnitude_bins / 2 ? fused(step, static_cast<float>(bin), begin)
                                  : fused(-step, static_cast<float>(last - bin), end);
}

/// Operation `which` of torchvision's list, at magnitude `bin`, downwards where it has a sign and `negative`.
/// wide: TrivialAugmentWide's magnitudes, else RandAugment's. Cubuk, Zoph, Shlens, Le, "RandAugment", CVPR
/// Workshops 2020; Müller, Hutter, "TrivialAugment", ICCV 2021.
CONVOY_HOST_DEVICE inline PictureChange auto_change(bool wide, int which, int bin, bool negative,
                                                    const FeatureShape& image) {
  const auto signed_magnitude = [&](double end) {
    const double magnitude = static_cast<double>(magnitude_of(bin, 0, static_cast<float>(end)));
    return negative ? -magnitude : magnitude;
  };
  const double sheared = wide ? 0.99 : 0.3, strength = wide ? 0.99 : 0.9;
  AffineMotion motion;
  switch (which) {
    case 1:
    case 2:  // about the upper left corner
      motion.center_x = -0.5 * image.w, motion.center_y = -0.5 * image.h;
      (which == 1 ? motion.shear_x : motion.shear_y) = signed_magnitude(sheared);
      return affine_change(motion, image);
    case 3:
    case 4: {
      const int side = which == 3 ? image.w : image.h;
      (which == 3 ? motion.shift_x : motion.shift_y) =
          trunc(signed_magnitude(wide ? 32.0 : 150.0 / 331.0 * side));
      return affine_change(motion, image);
    }
    case 5:
      return rotation(signed_magnitude(wide ? 135.0 : 30.0), image);
    case 6:
      return change_by(Effect::brightness, 1 + signed_magnitude(strength));
    case 7:
      return change_by(Effect::saturation, 1 + signed_magnitude(strength));
    case 8:
      return change_by(Effect::contrast, 1 + signed_magnitude(strength));
    case 9:
      return change_by(Effect::sharpness, 1 + signed_magnitude(strength));
    case 10: {
      constexpr int last = magnitude_bins - 1;
      return posterized(8 - (bin * (wide ? 6 : 4) + last / 2) / last);
    }
    case 11:
      return solarized(static_cast<float>(255 * static_cast<double>(magnitude_of(bin, 1, 0))));
    case 12:
      return change_by(Effect::autocontrast, 1);
    case 13:
      return change_by(Effect::equalize, 1);
    default:
      return {};
  }
}

/// Of one operation that changes the image by itself, all but trivial_augment and rand_augment. draw(k): the
/// k-th four random words for it.
template <class Draw>
CONVOY_HOST_DEVICE PictureChange drawn_change(const PictureOperation& operation, const FeatureShape& image,
                                              Draw draw) {
  const Random4 r = draw(0);
  const auto around_zero = [](std::uint32_t word, float most) { return uniform_between(word, -most, most); };
  switch (operation.op) {
    case PictureOp::rotate:
      return rotation(static_cast<double>(around_zero(r.v[1], operation.degrees)), image);
    case PictureOp::affine: {
      const Random4 more = draw(1);
      AffineMotion motion;
      motion.turn = Turn(static_cast<double>(around_zero(r.v[1], operation.degrees)));
      const auto shift = [&](std::uint32_t word, float share, int side) {
        return rint(static_cast<double>(around_zero(word, share)) * side);
      };
      motion.shift_x = shift(r.v[2], operation.translate_x, image.w);
      motion.shift_y = shift(r.v[3], operation.translate_y, image.h);
      motion.scale =
          static_cast<double>(uniform_between(more.v[0], operation.min_scale, operation.max_scale));
      motion.shear_x = Turn(static_cast<double>(around_zero(more.v[1], operation.shear_x))).tangent();
      motion.shear_y = Turn(static_cast<double>(around_zero(more.v[2], operation.shear_y))).tangent();
      return affine_change(motion, image);
    }
    case PictureOp::gaussian_blur:
      return blurred(operation.kernel, uniform_between(r.v[1], operation.min_sigma, operation.max_sigma));
    case PictureOp::grayscale:
      return change_by(Effect::grayscale, 1);
    case PictureOp::posterize:
      return posterized(operation.bits);
    case PictureOp::solarize:
      return solarized(operation.threshold);
    case PictureOp::equalize:
      return change_by(Effect::equalize, 1);
    case PictureOp::autocontrast:
      return change_by(Effect::autocontrast, 1);
    case PictureOp::sharpness:
      return change_by(Effect::sharpness, static_cast<double>(operation.factor));
    default:
      return {};
  }
}

/// Fills `changes` (max_changes) with those of an image, in their order, and returns how many there are.
/// Draws depend on the kind of operation, not on its place in the list.
CONVOY_HOST_DEVICE inline int draw_changes(const Retouch& call, const StepState& state, std::int32_t sample,
                                           PictureChange* changes) {
  int count = 0;
  const auto add = [&](const PictureChange& change) {
    if (change.effect != Effect::none) changes[count++] = change;
  };
  for (int i = 0; i < call.operation_count; ++i) {
    const PictureOperation& operation = call.operations[i];
    const auto draw = [&](std::uint64_t which) {
      const std::uint64_t place = which * picture_ops + static_cast<std::uint64_t>(operation.op);
      return random4(state.seed, Purpose::retouch, static_cast<std::uint32_t>(state.epoch),
                     place << 32 | static_cast<std::uint32_t>(sample));
    };
    if (!(uniform01(draw(0).v[0]) < operation.probability)) continue;
    const bool wide = operation.op == PictureOp::trivial_augment;
    if (!wide && operation.op != PictureOp::rand_augment) {
      add(drawn_change(operation, call.image, draw));
      continue;
    }
    for (int k = 0; k < (wide ? 1 : operation.count); ++k) {
      const Random4 r = draw(static_cast<std::uint64_t>(1 + k));
      const auto which = static_cast<int>(uniform_below(r.v[0], auto_operations));
      const auto bin = static_cast<int>(uniform_below(r.v[1], magnitude_bins));
      add(auto_change(wide, which, wide ? bin : operation.magnitude, (r.v[2] >> 31) != 0, call.image));
    }
  }
  return count;
}

}  // namespace convoy
