// The changes of Retouch, pixel by pixel. A team works on one picture: a thread of the host alone, or a block
// on CUDA. It has rank(), size(), barrier() for all of its members, and add(total, value) for sums that
// several members make. Pictures are (H,W,C) u8 with one or more channels; where torchvision rounds in
// float32, so do these, in the same order.
#pragma once

#include <memory>
#include <vector>

#include "kernels/retouch_draws.h"

namespace convoy {

/// What a team shares while it works.
struct RetouchScratch {
  static constexpr int row_values = 3072;  ///< of gaussian_blur: a part of a row of sums
  PictureChange changes[max_changes];
  int count;
  unsigned long long sum;
  std::uint32_t histogram[256];
  std::uint8_t table[256];
  float weights[(Retouch::max_kernel + 1) / 2];
  int above[(Retouch::max_kernel + 1) / 2],
      below[(Retouch::max_kernel + 1) / 2];  ///< rows at these distances
  float row[row_values];
};
/// Most channels that gaussian_blur can do.
constexpr int max_blurred_channels = RetouchScratch::row_values / (2 * Retouch::max_kernel);

/// A team of one.
struct SoloTeam {
  static constexpr int rank() { return 0; }
  static constexpr int size() { return 1; }
  static void barrier() {}
  template <class T>
  static void add(T* total, T value) {
    *total += value;
  }
};

/// Of a picture, whose depth is 1.
CONVOY_HOST_DEVICE inline int pixels_of(const FeatureShape& image) {
  return image.h * image.w;
}
CONVOY_HOST_DEVICE inline int values_of(const FeatureShape& image) {
  return image.h * image.w * image.c;
}

/// Whether a pixel depends on others nearby, so that it cannot be written over.
CONVOY_HOST_DEVICE inline bool needs_second_picture(Effect effect) {
  return effect == Effect::sharpness || effect == Effect::affine || effect == Effect::blur;
}

/// Cut off, not rounded, as conversions of tensors are. v is far from the limits of an int.
CONVOY_HOST_DEVICE inline std::uint8_t to_byte(float v) {
  const auto whole = static_cast<int>(v);  // compared as integers, which compilers do without branches
  return static_cast<std::uint8_t>(whole < 0 ? 0 : whole > 255 ? 255 : whole);
}
/// ratio v + rest other.
CONVOY_HOST_DEVICE inline std::uint8_t mixed(const PictureChange& change, float v, float other) {
  return to_byte(fused(other, change.rest, v * change.value));
}
/// Of red, green and blue.
CONVOY_HOST_DEVICE inline std::uint8_t gray_of(const std::uint8_t* rgb) {
  return to_byte(fused(rgb[2], 0.114f, fused(rgb[1], 0.587f, static_cast<float>(rgb[0]) * 0.2989f)));
}

/// Every byte v of channel c, or of all where c is negative, becomes value(v).
template <class Team, class Value>
CONVOY_HOST_DEVICE void map_bytes(const Team& team, const FeatureShape& image, std::uint8_t* picture, int c,
                                  RetouchScratch& scratch, Value value) {
  for (int v = team.rank(); v < 256; v += team.size()) scratch.table[v] = value(v);
  team.barrier();
  const int first = c < 0 ? 0 : c, step = c < 0 ? 1 : image.c;
  const auto count = values_of(image);
  for (int i = first + team.rank() * step; i < count; i += team.size() * step)
    picture[i] = scratch.table[picture[i]];
  team.barrier();
}

/// scratch.histogram: how often each byte is there in channel c.
template <class Team>
CONVOY_HOST_DEVICE void count_bytes(const Team& team, const FeatureShape& image, const std::uint8_t* picture,
                                    int c, RetouchScratch& scratch) {
  for (int v = team.rank(); v < 256; v += team.size()) scratch.histogram[v] = 0;
  team.barrier();
  const auto count = values_of(image);
  for (int i = c + team.rank() * image.c; i < count; i += team.size() * image.c)
    team.add(&scratch.histogram[picture[i]], std::uint32_t{1});
  team.barrier();
}

/// Each channel's bytes are spread from its smallest and largest to 0 and 255.
template <class Team>
CONVOY_HOST_DEVICE void autocontrast(const Team& team, const FeatureShape& image, std::uint8_t* picture,
                                     RetouchScratch& scratch) {
  for (int c = 0; c < image.c; ++c) {
    count_bytes(team, image, picture, c, scratch);
    int low = 0, high = 255;
    while (low < high && scratch.histogram[low] == 0) ++low;
    while (high > low && scratch.histogram[high] == 0) --high;
    const float scale = static_cast<float>(high - low) * (1.0f / 255.0f);
    map_bytes(team, image, picture, c, scratch, [&](int v) {
      if (low == high) return static_cast<std::uint8_t>(v);
      return to_byte(quotient(static_cast<float>(v - low), scale));
    });
  }
}

/// Each channel's bytes become about equally frequent, by Pillow's rule: the pixels before a byte, over a
/// 255th of those that are not of the largest one.
template <class Team>
CONVOY_HOST_DEVICE void equalize(const Team& team, const FeatureShape& image, std::uint8_t* picture,
                                 RetouchScratch& scratch) {
  const auto pixels = static_cast<std::uint32_t>(pixels_of(image));
  for (int c = 0; c < image.c; ++c) {
    count_bytes(team, image, picture, c, scratch);
    int high = 255;
    while (high > 0 && scratch.histogram[high] == 0) --high;
    const std::uint32_t step = (pixels - scratch.histogram[high]) / 255;
    team.barrier();
    if (team.rank() == 0) {
      std::uint32_t before = 0;
      for (std::uint32_t& count : scratch.histogram) {
        const std::uint32_t own = count;
        count = before;
        before += own;
      }
    }
    team.barrier();
    map_bytes(team, image, picture, c, scratch, [&](int v) {
      if (step == 0) return static_cast<std::uint8_t>(v);
      const std::uint32_t level = v == 0 ? 0 : (scratch.histogram[v] + step / 2) / step;
      return static_cast<std::uint8_t>(level < 255 ? level : 255);
    });
  }
}

/// All distances from the mean of the gray picture.
template <class Team>
CONVOY_HOST_DEVICE void contrast(const Team& team, const PictureChange& change, const FeatureShape& image,
                                 std::uint8_t* picture, RetouchScratch& scratch) {
  if (team.rank() == 0) scratch.sum = 0;
  team.barrier();
  const auto pixels = pixels_of(image);
  unsigned long long sum = 0;
  for (int p = team.rank(); p < pixels; p += team.size())
    sum += image.c == 3 ? gray_of(picture + std::int64_t{p} * 3) : picture[p];
  team.add(&scratch.sum, sum);
  team.barrier();
  const auto mean = static_cast<float>(static_cast<double>(scratch.sum) / pixels);
  map_bytes(team, image, picture, -1, scratch,
            [&](int v) { return mixed(change, static_cast<float>(v), mean); });
}

/// All distances from the pixel's gray; `saturation` of ratio 0 but for rounding is `grayscale`.
template <class Team>
CONVOY_HOST_DEVICE void saturation(const Team& team, const PictureChange& change, const FeatureShape& image,
                                   std::uint8_t* picture) {
  if (image.c != 3) return;
  const auto pixels = pixels_of(image);
  for (int p = team.rank(); p < pixels; p += team.size()) {
    std::uint8_t* rgb = picture + std::int64_t{p} * 3;
    const std::uint8_t gray = gray_of(rgb);
    for (int c = 0; c < 3; ++c)
      rgb[c] = change.effect == Effect::grayscale ? gray : mixed(change, rgb[c], gray);
  }
  team.barrier();
}

/// Distances from the mean of the 3x3 pixels around, in which the middle counts five times. The edge stays.
template <class Team>
CONVOY_HOST_DEVICE void sharpness(const Team& team, const PictureChange& change, const FeatureShape& image,
                                  const std::uint8_t* from, std::uint8_t* to) {
  const int width = image.w, channels = image.c, row = width * channels;
  const auto pixels = pixels_of(image);
  for (int p = team.rank(); p < pixels; p += team.size()) {
    const int h = p / width, w = p - h * width;
    const bool inside = h > 0 && h < image.h - 1 && w > 0 && w < width - 1;
    for (int c = 0; c < channels; ++c) {
      const std::uint8_t* at = from + std::int64_t{p} * channels + c;
      int value = *at;
      if (inside) {
        const auto three = [&](const std::uint8_t* middle) {
          return middle[-channels] + middle[0] + middle[channels];
        };
        const int sum = three(at - row) + three(at) + three(at + row) + 4 * value;
        const int mean = (2 * sum + 13) / 26;  // of thirteen, rounded
        value = to_byte(fused(static_cast<float>(mean - value), change.rest, static_cast<float>(value)));
      }
      to[std::int64_t{p} * channels + c] = static_cast<std::uint8_t>(value);
    }
  }
  team.barrier();
}

/// The nearest integer, the even one of two, or -1 where that is outside [0, length).
CONVOY_HOST_DEVICE inline int nearest_inside(float v, int length) {
  if (!(v >= -0.5f && v <= static_cast<float>(length))) return -1;
  constexpr float integers_only = 12582912.0f;  // 1.5 * 2^23, whose neighbours are integers
  const int nearest = static_cast<int>((v + integers_only) - integers_only);
  return nearest < length ? nearest : -1;
}

/// The nearest pixel to where each comes from; black from outside.
template <class Team>
CONVOY_HOST_DEVICE void move_pixels(const Team& team, const PictureChange& change, const FeatureShape& image,
                                    const std::uint8_t* from, std::uint8_t* to) {
  const int width = image.w, height = image.h, channels = image.c;
  const auto pixels = pixels_of(image);
  const float* place = change.place;
  const auto source = [](const float* p, float x, float y, int length) {
    const float at = fused(y, p[1], x * p[0]) + p[2];
    return nearest_inside(fused(at + 1.0f, 0.5f * static_cast<float>(length), -0.5f), length);
  };
  for (int p = team.rank(); p < pixels; p += team.size()) {
    const int h = p / width, w = p - h * width;
    const float x = static_cast<float>(w) - 0.5f * static_cast<float>(width - 1);
    const float y = static_cast<float>(h) - 0.5f * static_cast<float>(height - 1);
    const int from_w = source(place, x, y, width), from_h = source(place + 3, x, y, height);
    const bool inside = from_w >= 0 && from_h >= 0;
    const std::uint8_t* pixel = from + (inside ? (std::int64_t{from_h} * width + from_w) * channels : 0);
    for (int c = 0; c < channels; ++c)
      to[std::int64_t{p} * channels + c] = inside ? pixel[c] : std::uint8_t{0};
  }
  team.barrier();
}

/// Gaussian weights of the kernel's middle and of one side; all of them add up to 1.
CONVOY_HOST_DEVICE inline void blur_weights(const PictureChange& change, float* weights) {
  const auto sigma = static_cast<double>(change.value);
  const double base = exp_of_minus(0.5 / (sigma * sigma)), square = base * base;
  const int side = change.size / 2;
  double sum = 1;
  for (int pass = 0; pass < 2; ++pass) {  // e^(-i^2 / (2 sigma^2)), whose quotients are odd powers of base
    double weight = 1, power = base;
    for (int i = 0; i <= side; ++i) {
      if (pass == 1) weights[i] = static_cast<float>(weight / sum);
      weight *= power;
      power *= square;
      if (pass == 0 && i < side) sum = fma(2.0, weight, sum);
    }
  }
}

/// Gaussian filter, the picture reflected at its edges. Columns are summed to a part of a row, then rows of
/// that. Sums are in double, where each of their products is exact.
template <class Team>
CONVOY_HOST_DEVICE void blur(const Team& team, const PictureChange& change, const FeatureShape& image,
                             const std::uint8_t* from, std::uint8_t* to, RetouchScratch& scratch) {
  const int width = image.w, channels = image.c, side = change.size / 2;
  const int most = RetouchScratch::row_values / channels - 2 * side;  // pixels at a time
  if (team.rank() == 0) blur_weights(change, scratch.weights);
  team.barrier();
  const float* weights = scratch.weights;
  for (int h = 0; h < image.h; ++h) {
    for (int i = team.rank(); i <= side; i += team.size()) {
      scratch.above[i] = reflect(h - i, image.h) * width * channels;
      scratch.below[i] = reflect(h + i, image.h) * width * channels;
    }
    team.barrier();
    for (int left = 0; left < width; left += most) {
      const int part = width - left < most ? width - left : most;
      for (int k = team.rank(); k < part + 2 * side; k += team.size()) {
        const int w = reflect(left + k - side, width);
        for (int c = 0; c < channels; ++c) {
          const std::uint8_t* const column = from + w * channels + c;
          double sum = static_cast<double>(weights[0]) * column[scratch.above[0]];
          for (int i = 1; i <= side; ++i)
            sum += static_cast<double>(weights[i]) * (column[scratch.above[i]] + column[scratch.below[i]]);
          scratch.row[k * channels + c] = static_cast<float>(sum);
        }
      }
      team.barrier();
      for (int k = team.rank(); k < part; k += team.size()) {
        for (int c = 0; c < channels; ++c) {
          const float* const middle = scratch.row + (k + side) * channels + c;
          double sum = static_cast<double>(weights[0]) * static_cast<double>(*middle);
          for (int i = 1; i <= side; ++i) {
            sum += static_cast<double>(weights[i]) * static_cast<double>(middle[-i * channels]);
            sum += static_cast<double>(weights[i]) * static_cast<double>(middle[i * channels]);
          }
          to[(std::int64_t{h} * width + left + k) * channels + c] = static_cast<std::uint8_t>(rint(sum));
        }
      }
      team.barrier();
    }
  }
}

/// Changes `from`, or leaves the changed picture in `to` where the effect needs a second one.
template <class Team>
CONVOY_HOST_DEVICE void apply_change(const Team& team, const PictureChange& change, const FeatureShape& image,
                                     std::uint8_t* from, std::uint8_t* to, RetouchScratch& scratch) {
  switch (change.effect) {
    case Effect::none:
      return;
    case Effect::posterize: {
      const auto mask = static_cast<std::uint8_t>(0xFF << (8 - change.size));
      return map_bytes(team, image, from, -1, scratch,
                       [=](int v) { return static_cast<std::uint8_t>(v & mask); });
    }
    case Effect::solarize:
      return map_bytes(team, image, from, -1, scratch, [&](int v) {
        return static_cast<std::uint8_t>(static_cast<float>(v) >= change.value ? 255 - v : v);
      });
    case Effect::brightness:
      return map_bytes(team, image, from, -1, scratch,
                       [&](int v) { return to_byte(static_cast<float>(v) * change.value); });
    case Effect::contrast:
      return contrast(team, change, image, from, scratch);
    case Effect::grayscale:
    case Effect::saturation:
      return saturation(team, change, image, from);
    case Effect::autocontrast:
      return autocontrast(team, image, from, scratch);
    case Effect::equalize:
      return equalize(team, image, from, scratch);
    case Effect::sharpness:
      return sharpness(team, change, image, from, to);
    case Effect::affine:
      return move_pixels(team, change, image, from, to);
    case Effect::blur:
      return blur(team, change, image, from, to, scratch);
  }
}

/// The crop and flip of `stored` (H,W,C).
template <class Team>
CONVOY_HOST_DEVICE void gather_picture(const Team& team, const Retouch& call, const ImageShift& shift,
                                       const std::uint8_t* stored, std::uint8_t* picture) {
  const FeatureShape& image = call.image;
  const auto count = values_of(image), pixels = pixels_of(image);
  if (!shift.moves()) {
    for (int i = team.rank(); i < count; i += team.size()) picture[i] = stored[i];
  } else {
    for (int p = team.rank(); p < pixels; p += team.size()) {
      const int h = p / image.w, w = p - h * image.w;
      const std::uint8_t* pixel = stored_pixel(image, call.pad_mode, stored, shift, 0, h, w);
      for (int c = 0; c < image.c; ++c)
        picture[std::int64_t{p} * image.c + c] = pixel != nullptr ? pixel[c] : std::uint8_t{0};
    }
  }
  team.barrier();
}

/// Row `i` of the call in `picture` (H,W,C); `spare` is as large. slot_rows: the call's.
template <class Team>
CONVOY_HOST_DEVICE void retouch_row(const Team& team, const Retouch& call, std::int64_t slot_rows,
                                    const StepState& state, const std::uint8_t* images,
                                    const std::int32_t* order, int i, std::uint8_t* picture,
                                    std::uint8_t* spare, RetouchScratch& scratch) {
  const std::int32_t sample = order[state.first + (i < call.n ? call.first + i : call.after)];
  const std::int64_t row = call.resident ? sample : state.slot * slot_rows + call.staged + i;
  if (team.rank() == 0) scratch.count = draw_changes(call, state, sample, scratch.changes);
  team.barrier();
  int moves = 0;
  for (int k = 0; k < scratch.count; ++k) moves += needs_second_picture(scratch.changes[k].effect) ? 1 : 0;
  std::uint8_t* now = moves % 2 == 0 ? picture : spare;  // so that the last one ends in `picture`
  std::uint8_t* other = moves % 2 == 0 ? spare : picture;
  const ImageShift shift = image_shift(state.seed, state.epoch, sample, call.crop_pad, call.flip);
  gather_picture(team, call, shift, images + row * values_of(call.image), now);
  for (int k = 0; k < scratch.count; ++k) {
    apply_change(team, scratch.changes[k], call.image, now, other, scratch);
    if (!needs_second_picture(scratch.changes[k].effect)) continue;
    std::uint8_t* const changed = other;
    other = now;
    now = changed;
  }
  team.barrier();
}

/// Rows [first, end) of the call on a host.
template <class Context>
void retouch_rows(const Context& context, const Retouch& call, std::int64_t first, std::int64_t end) {
  const auto* images = context.template data<std::uint8_t>(call.images);
  const auto* order = context.template data<std::int32_t>(call.order);
  auto* pictures = context.template data<std::uint8_t>(call.pictures);
  const std::int64_t size = call.image.count();
  const auto scratch = std::make_unique<RetouchScratch>();
  std::vector<std::uint8_t> spare(static_cast<std::size_t>(size));
  for (std::int64_t i = first; i < end; ++i)
    retouch_row(SoloTeam{}, call, call.slot_rows(), context.state, images, order, static_cast<int>(i),
                pictures + i * size, spare.data(), *scratch);
}

}  // namespace convoy
