// Augmentation beyond crop and flip, shared by the engines: the random draws of an image and the value of
// each pixel. T is the type that the engine computes in.
#pragma once

#include <math.h>

#include <cstdint>

#include "core/host_device.h"
#include "kernels/augment.h"

namespace convoy {

/// Uniform in [low, high), rounded once, so that every engine finds the same value.
CONVOY_HOST_DEVICE inline float uniform_between(std::uint32_t word, float low, float high) {
  return fmaf(uniform01(word), high - low, low);
}

struct ColorFactors {
  float brightness = 1, contrast = 1, saturation = 1;
  float hue = 0;  ///< what is added to it, as a share of the circle
};
CONVOY_HOST_DEVICE inline ColorFactors color_factors(const ColorJitter& jitter, const StepState& state,
                                                     std::int32_t sample) {
  const Random4 r = random4(state.seed, Purpose::color, static_cast<std::uint32_t>(state.epoch),
                            static_cast<std::uint64_t>(sample));
  const auto factor = [](std::uint32_t word, float strength) {
    return uniform_between(word, strength < 1 ? 1 - strength : 0.0f, 1 + strength);
  };
  return {factor(r.v[0], jitter.brightness), factor(r.v[1], jitter.contrast),
          factor(r.v[2], jitter.saturation), uniform_between(r.v[3], -jitter.hue, jitter.hue)};
}

/// Rows [top, bottom) and columns [left, right), through all of a volume's depth.
struct PixelBox {
  int top = 0, left = 0, bottom = 0, right = 0;
  CONVOY_HOST_DEVICE bool contains(int h, int w) const {
    return h >= top && h < bottom && w >= left && w < right;
  }
};
/// Empty where nothing is erased.
CONVOY_HOST_DEVICE inline PixelBox erased_box(const RandomErasing& erasing, const FeatureShape& image,
                                              const StepState& state, std::int32_t sample) {
  constexpr std::uint64_t tries = 10;
  const auto draw = [&](std::uint64_t attempt) {
    return random4(state.seed, Purpose::erase, static_cast<std::uint32_t>(state.epoch),
                   attempt << 32 | static_cast<std::uint32_t>(sample));
  };
  if (!(uniform01(draw(0).v[0]) < erasing.probability)) return {};
  for (std::uint64_t attempt = 1; attempt <= tries; ++attempt) {
    const Random4 r = draw(attempt);
    const float share = uniform_between(r.v[0], erasing.min_area, erasing.max_area);
    const float area = share * static_cast<float>(image.h * image.w);
    const float ratio = uniform_between(r.v[1], erasing.min_ratio, erasing.max_ratio);
    const int height = static_cast<int>(sqrtf(area * ratio) + 0.5f);
    const int width = static_cast<int>(sqrtf(area / ratio) + 0.5f);
    if (height > image.h || width > image.w) continue;
    const auto place = [](std::uint32_t word, int room) {
      return static_cast<int>(uniform_below(word, static_cast<std::uint32_t>(room + 1)));
    };
    const int top = place(r.v[2], image.h - height), left = place(r.v[3], image.w - width);
    return {top, left, top + height, left + width};
  }
  return {};
}

/// An image of the batch: its bytes and what was drawn for it.
template <class T>
struct DrawnImage {
  const std::uint8_t* pixels = nullptr;  ///< (D,H,W,C)
  ImageShift shift;
  ColorFactors factors;
  PixelBox erased;
  T mean = 0;  ///< of its gray after brightness; contrast alone reads it
};
template <class T>
CONVOY_HOST_DEVICE DrawnImage<T> draw_image(const Augment& call, const StepState& state,
                                            const std::uint8_t* pixels, std::int32_t sample) {
  DrawnImage<T> image;
  image.pixels = pixels;
  image.shift = image_shift(state.seed, state.epoch, sample, call.crop_pad, call.flip);
  if (call.jitter.any()) image.factors = color_factors(call.jitter, state, sample);
  if (call.erasing.probability > 0) image.erased = erased_box(call.erasing, call.image, state, sample);
  return image;
}

template <class T>
CONVOY_HOST_DEVICE T in_unit_range(T v) {
  return v < 0 ? T(0) : v > 1 ? T(1) : v;
}
/// What channel c counts for in a pixel's gray: ITU-R BT.601 for red, green, blue.
template <class T>
CONVOY_HOST_DEVICE T gray_weight(int c, int channels) {
  if (channels != 3) return T(1) / static_cast<T>(channels);
  return c == 0 ? T(0.299) : c == 1 ? T(0.587) : T(0.114);
}

/// A colour by its place on the hexcone: A. R. Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978, whose hue
/// and value these are; his saturation is chroma / value.
template <class T>
struct Hexcone {
  T value = 0;   ///< the largest channel
  T chroma = 0;  ///< how far above the smallest it is
  T hue = 0;     ///< in sixths of the circle: red 0, green 2, blue 4; 0 for grays

  Hexcone() = default;
  CONVOY_HOST_DEVICE Hexcone(T red, T green, T blue) {
    const T high = red > green ? red : green, low = red > green ? green : red;
    value = high > blue ? high : blue;
    chroma = value - (low < blue ? low : blue);
    if (chroma <= 0) return;
    hue = value == red     ? (green - blue) / chroma
          : value == green ? 2 + (blue - red) / chroma
                           : 4 + (red - green) / chroma;
  }
  /// Red, green or blue (0, 1, 2): the largest up to a sixth of the circle from its own hue, the smallest
  /// from two sixths on, linear between. Holds for hues in [-5, 9].
  CONVOY_HOST_DEVICE T channel(int c) const {
    T distance = hue - static_cast<T>(2 * c);
    distance = distance < 0 ? -distance : distance;
    if (distance > 3) distance = distance < 6 ? 6 - distance : distance - 6;
    return value - chroma * in_unit_range(distance - 1);
  }
};

/// A pixel of the crop: the address of its channels, or null outside the image.
CONVOY_HOST_DEVICE inline const std::uint8_t* stored_pixel(const FeatureShape& image, PadMode pad_mode,
                                                           const std::uint8_t* pixels,
                                                           const ImageShift& shift, int d, int h, int w) {
  int from_h = h + shift.dh, from_w = w + shift.dw;
  if (pad_mode == PadMode::reflect) {
    from_h = reflect(from_h, image.h);
    from_w = reflect(from_w, image.w);
  }
  if (from_h < 0 || from_h >= image.h || from_w < 0 || from_w >= image.w) return nullptr;
  if (shift.flip) from_w = image.w - 1 - from_w;
  if (shift.upside_down) from_h = image.h - 1 - from_h;
  return pixels + ((std::int64_t{d} * image.h + from_h) * image.w + from_w) * image.c;
}

/// What a pixel's channels have in common, for PixelColors::normalized.
template <class T>
struct PixelTone {
  T gray = 0;          ///< before saturation, which alone reads it
  Hexcone<T> shifted;  ///< the colour whose hue has moved
};

/// The channels of one pixel, each computed on demand. Without `hues` it needs fewer registers.
template <class T, bool hues = true>
class PixelColors {
 public:
  CONVOY_HOST_DEVICE PixelColors(const Augment& call, const DrawnImage<T>& image, int d, int h, int w)
      : image_(image),
        stored_(stored_pixel(call.image, call.pad_mode, image.pixels, image.shift, d, h, w)),
        channels_(call.image.c),
        contrast_(call.jitter.contrast > 0),
        saturation_(call.jitter.saturation > 0 && channels_ > 1),
        hue_(hues && call.jitter.hue > 0 && channels_ == 3),
        erased_(image.erased.contains(h, w)) {}

  /// Of the image after brightness: what the mean is taken of.
  CONVOY_HOST_DEVICE T bright_gray() const {
    T gray = 0;
    for (int c = 0; c < channels_; ++c) gray += gray_weight<T>(c, channels_) * bright(c);
    return gray;
  }
  /// In the normalised image: scale and offset are the channels' own.
  CONVOY_HOST_DEVICE T normalized(int c, const PixelTone<T>& tone, const T* scale, const T* offset) const {
    if (erased_) return 0;
    const T v = hue_ ? tone.shifted.channel(c) : saturated(c, tone.gray);
    return v * scale[c] + offset[c];
  }
  /// Once per pixel.
  CONVOY_HOST_DEVICE PixelTone<T> tone() const {
    PixelTone<T> tone;
    if (erased_) return tone;
    if (saturation_) {
      for (int c = 0; c < channels_; ++c) tone.gray += gray_weight<T>(c, channels_) * contrasted(c);
    }
    if (hue_) {
      tone.shifted = {saturated(0, tone.gray), saturated(1, tone.gray), saturated(2, tone.gray)};
      tone.shifted.hue += 6 * T(image_.factors.hue);
    }
    return tone;
  }

 private:
  CONVOY_HOST_DEVICE T bright(int c) const {
    const T v = stored_ != nullptr ? static_cast<T>(stored_[c]) / T(255) : T(0);
    return in_unit_range(T(image_.factors.brightness) * v);
  }
  CONVOY_HOST_DEVICE T contrasted(int c) const {
    const T v = bright(c);
    if (!contrast_) return v;
    return in_unit_range(image_.mean + T(image_.factors.contrast) * (v - image_.mean));
  }

  CONVOY_HOST_DEVICE T saturated(int c, T gray) const {
    const T v = contrasted(c);
    if (!saturation_) return v;
    return in_unit_range(gray + T(image_.factors.saturation) * (v - gray));
  }

  const DrawnImage<T>& image_;
  const std::uint8_t* stored_;
  int channels_;
  bool contrast_, saturation_, hue_, erased_;
};

/// Sets the channels of pixel (d,h,w) of a changed image in `out` (C); partner may be null.
template <bool hues, class T, class Out, class Round>
CONVOY_HOST_DEVICE void write_pixel(const Augment& call, const Blend& blend, const DrawnImage<T>& image,
                                    const DrawnImage<T>* partner, int d, int h, int w, const T* scale,
                                    const T* offset, Out* out, Round round) {
  const PixelColors<T, hues> own(call, image, d, h, w);
  const PixelTone<T> tone = own.tone();
  const PixelBox box{blend.top, blend.left, blend.bottom, blend.right};
  if (partner == nullptr || !box.contains(h, w)) {
    for (int c = 0; c < call.image.c; ++c) out[c] = round(own.normalized(c, tone, scale, offset));
    return;
  }
  const PixelColors<T, hues> other(call, *partner, d, h, w);
  const PixelTone<T> other_tone = other.tone();
  const T share = blend.own;
  for (int c = 0; c < call.image.c; ++c) {
    out[c] = round(share * own.normalized(c, tone, scale, offset) +
                   (1 - share) * other.normalized(c, other_tone, scale, offset));
  }
}

/// Which sample the partner of image i is.
CONVOY_HOST_DEVICE inline std::int32_t partner_of(const Augment& call, const StepState& state,
                                                  const std::int32_t* order, int i) {
  return order[state.first + (i + 1 < call.n ? call.first + i + 1 : call.after)];
}

/// Image i of a call that is not plain, on a host. x (N,D,H,W,C), y (N).
template <class T, class Context>
void change_image(const Context& context, const Augment& call, int i) {
  // No structured binding: older clang cannot capture one.
  const int depth = call.image.d, height = call.image.h, width = call.image.w, channels = call.image.c;
  const StepState& state = context.state;
  const auto* order = context.template data<std::int32_t>(call.order);
  const auto* labels = context.template data<std::int32_t>(call.labels);
  const auto* images = context.template data<std::uint8_t>(call.images);
  const T* scale = context.template data<T>(call.scale);
  const T* offset = context.template data<T>(call.shift);
  const auto drawn = [&](std::int32_t sample, int place) {
    const std::int64_t row = call.resident ? sample : state.slot * call.slot_rows() + call.staged + place;
    auto image = draw_image<T>(call, state, images + row * call.image.count(), sample);
    if (call.jitter.contrast <= 0) return image;
    double sum = 0;
    for (int d = 0; d < depth; ++d) {
      for (int h = 0; h < height; ++h) {
        for (int w = 0; w < width; ++w) sum += PixelColors<T>(call, image, d, h, w).bright_gray();
      }
    }
    image.mean = static_cast<T>(sum / static_cast<double>(call.image.pixels()));
    return image;
  };
  const std::int32_t sample = order[state.first + call.first + i];
  const DrawnImage<T> image = drawn(sample, i);
  context.template data<std::int32_t>(call.y)[i] = labels[sample];
  DrawnImage<T> partner;
  if (call.blends) {
    const std::int32_t other = partner_of(call, state, order, i);
    partner = drawn(other, i + 1);
    context.template data<std::int32_t>(call.y_partner)[i] = labels[other];
  }
  T* out = context.template data<T>(call.x) + i * call.image.count();
  for (int d = 0; d < depth; ++d) {
    for (int h = 0; h < height; ++h) {
      for (int w = 0; w < width; ++w, out += channels)
        write_pixel<true>(call, state.blend, image, call.blends ? &partner : nullptr, d, h, w, scale, offset,
                          out, [](T v) { return v; });
    }
  }
}

}  // namespace convoy
