// Separable: each output row is first a weighted sum of input rows, kept with seven bits behind the point,
// then its pixels are weighted sums of that row's. Weights are integers of 14 bits, so that a row of 8-bit
// values, sums of 16-bit products in 32 bits, needs only SSE2, which every x86-64 has.
#include "src/io/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace convoy {
namespace {

constexpr int weight_bits = 14, row_bits = 7;
constexpr int channels = 3;

/// For each pixel of an output axis, the input pixels it is made of.
struct Taps {
  int stride = 0;                     ///< weights per output pixel, even; the last ones may be 0
  std::vector<int> first;             ///< (out): input pixel of the first weight
  std::vector<std::int16_t> weights;  ///< (out,stride)
  int begin = 0, end = 0;             ///< input pixels that have a weight
};

/// `first` and `extent`: the box along this axis; [lowest, highest): the pixels that may be read.
Taps make_taps(double first, double extent, int out, int lowest, int highest) {
  const double scale = extent / out, width = std::max(scale, 1.0);
  Taps taps;
  taps.stride = (static_cast<int>(std::ceil(width)) * 2 + 2) / 2 * 2;
  taps.first.resize(static_cast<std::size_t>(out));
  taps.weights.assign(static_cast<std::size_t>(out) * static_cast<std::size_t>(taps.stride), 0);
  taps.begin = highest;
  taps.end = lowest;
  std::vector<double> shares;
  for (int i = 0; i < out; ++i) {
    const double centre = first + (i + 0.5) * scale;
    const int begin = std::clamp(static_cast<int>(std::floor(centre - width + 0.5)), lowest, highest - 1);
    const int end = std::clamp(static_cast<int>(std::floor(centre + width + 0.5)), begin + 1,
                               std::min(highest, begin + taps.stride));
    shares.clear();
    double sum = 0;
    for (int x = begin; x < end; ++x) {
      shares.push_back(std::max(0.0, 1 - std::abs(x + 0.5 - centre) / width));
      sum += shares.back();
    }
    if (sum <= 0) shares.assign(shares.size(), 1), sum = static_cast<double>(shares.size());
    // Rounding is carried on, so that the weights' sum is exact.
    std::int16_t* weights = taps.weights.data() + static_cast<std::ptrdiff_t>(i) * taps.stride;
    double so_far = 0;
    long given = 0;
    for (const double share : shares) {
      so_far += share / sum;
      const long total = std::lround(so_far * (1 << weight_bits));
      *weights++ = static_cast<std::int16_t>(total - given);
      given = total;
    }
    taps.first[static_cast<std::size_t>(i)] = begin;
    taps.begin = std::min(taps.begin, begin);
    taps.end = std::max(taps.end, end);
  }
  return taps;
}

/// sums[i] = sum over k of weights[k] * rows[k][i], for `count` values, with row_bits behind the point.
void blend_rows_plain(const std::uint8_t* const* rows, const std::int16_t* weights, int taps, int count,
                      std::int16_t* sums) {
  constexpr int shift = weight_bits - row_bits;
  for (int i = 0; i < count; ++i) {
    int sum = 1 << (shift - 1);
    for (int k = 0; k < taps; ++k) sum += weights[k] * rows[k][i];
    sums[i] = static_cast<std::int16_t>(sum >> shift);
  }
}

#if defined(__SSE2__)

__m128i weight_pair(const std::int16_t* weights) {
  int both = 0;
  std::memcpy(&both, weights, sizeof both);
  return _mm_set1_epi32(both);
}

/// `taps` even; sixteen values at a time, the last sixteen perhaps twice.
void blend_rows(const std::uint8_t* const* rows, const std::int16_t* weights, int taps, int count,
                std::int16_t* sums) {
  constexpr int width = 16, shift = weight_bits - row_bits;
  if (count < width) return blend_rows_plain(rows, weights, taps, count, sums);
  const __m128i zero = _mm_setzero_si128();
  for (int i = 0; i < count; i += width) {
    const int at = std::min(i, count - width);
    __m128i sum[4];
    for (__m128i& s : sum) s = _mm_set1_epi32(1 << (shift - 1));
    for (int k = 0; k < taps; k += 2) {
      const __m128i pair = weight_pair(weights + k);
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k] + at));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k + 1] + at));
      const __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
      sum[0] = _mm_add_epi32(sum[0], _mm_madd_epi16(_mm_unpacklo_epi8(low, zero), pair));
      sum[1] = _mm_add_epi32(sum[1], _mm_madd_epi16(_mm_unpackhi_epi8(low, zero), pair));
      sum[2] = _mm_add_epi32(sum[2], _mm_madd_epi16(_mm_unpacklo_epi8(high, zero), pair));
      sum[3] = _mm_add_epi32(sum[3], _mm_madd_epi16(_mm_unpackhi_epi8(high, zero), pair));
    }
    for (__m128i& s : sum) s = _mm_srai_epi32(s, shift);
    auto* out = reinterpret_cast<__m128i*>(sums + at);
    _mm_storeu_si128(out, _mm_packs_epi32(sum[0], sum[1]));
    _mm_storeu_si128(out + 1, _mm_packs_epi32(sum[2], sum[3]));
  }
}

/// One pixel from `taps` (even) pixels of a row of sums; reads one value beyond them.
std::array<std::uint8_t, 4> blend_pixels(const std::int16_t* pixels, const std::int16_t* weights, int taps) {
  constexpr int shift = weight_bits + row_bits;
  __m128i sum = _mm_set1_epi32(1 << (shift - 1));
  for (int k = 0; k < taps; k += 2, pixels += 2 * channels) {
    const __m128i a = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(pixels));
    const __m128i b = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(pixels + channels));
    sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_unpacklo_epi16(a, b), weight_pair(weights + k)));
  }
  sum = _mm_packs_epi32(_mm_srai_epi32(sum, shift), sum);
  const int packed = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
  std::array<std::uint8_t, 4> pixel{};
  std::memcpy(pixel.data(), &packed, sizeof packed);
  return pixel;
}

#else

void blend_rows(const std::uint8_t* const* rows, const std::int16_t* weights, int taps, int count,
                std::int16_t* sums) {
  blend_rows_plain(rows, weights, taps, count, sums);
}

std::array<std::uint8_t, 4> blend_pixels(const std::int16_t* pixels, const std::int16_t* weights, int taps) {
  constexpr int shift = weight_bits + row_bits;
  std::array<std::uint8_t, 4> pixel{};
  for (std::size_t c = 0; c < channels; ++c) {
    int sum = 1 << (shift - 1);
    for (int k = 0; k < taps; ++k) sum += weights[k] * pixels[static_cast<std::size_t>(k * channels) + c];
    pixel[c] = static_cast<std::uint8_t>(sum >> shift);
  }
  return pixel;
}

#endif

}  // namespace

void resize(const ImageView& image, const Box& box, ImageSize out, std::uint8_t* pixels) {
  constexpr double slack = 1e-6;  // of fractions that were computed
  check(out.height > 0 && out.width > 0 && box.height > 0 && box.width > 0 && box.top >= -slack &&
            box.left >= -slack && box.top + box.height <= image.height + slack &&
            box.left + box.width <= image.width + slack,
        "resizing what is not there");
  const auto axis = [&](double first, double extent, int to, int length) {
    const int lowest = box.isolated ? static_cast<int>(std::floor(first + slack)) : 0;
    const int highest = box.isolated ? static_cast<int>(std::ceil(first + extent - slack)) : length;
    return make_taps(first, extent, to, std::clamp(lowest, 0, length - 1), std::clamp(highest, 1, length));
  };
  const Taps down = axis(box.top, box.height, out.height, image.height);
  const Taps across = axis(box.left, box.width, out.width, image.width);
  const std::ptrdiff_t row_bytes = std::ptrdiff_t{image.width} * channels;
  const int count = (across.end - across.begin) * channels;
  // Zero weights look beyond the last pixel.
  std::vector<std::int16_t> sums(static_cast<std::size_t>(count + (across.stride + 1) * channels), 0);
  std::vector<const std::uint8_t*> rows(static_cast<std::size_t>(down.stride));
  for (int y = 0; y < out.height; ++y) {
    for (int k = 0; k < down.stride; ++k) {  // zero weights look at the last row
      const int row = std::min(down.first[static_cast<std::size_t>(y)] + k, image.height - 1);
      rows[static_cast<std::size_t>(k)] = image.pixels + row * row_bytes + across.begin * channels;
    }
    blend_rows(rows.data(), down.weights.data() + std::ptrdiff_t{y} * down.stride, down.stride, count,
               sums.data());
    for (int x = 0; x < out.width; ++x, pixels += channels) {
      const std::int16_t* from =
          sums.data() + (across.first[static_cast<std::size_t>(x)] - across.begin) * channels;
      const auto pixel =
          blend_pixels(from, across.weights.data() + std::ptrdiff_t{x} * across.stride, across.stride);
      std::memcpy(pixels, pixel.data(), channels);
    }
  }
}

RowRange rows_to_resize(ImageSize image, const Box& box, ImageSize out) {
  const double width = std::max(box.height / out.height, 1.0);   // of the filter
  const double reach = box.isolated ? 1 : width + 1;             // beyond the box
  const int spare = static_cast<int>(std::ceil(width)) * 2 + 2;  // rows of zero weights, make_taps()'s stride
  const int first = std::clamp(static_cast<int>(std::floor(box.top - reach)), 0, image.height - 1);
  const int end = static_cast<int>(std::ceil(box.top + box.height + reach)) + spare;
  return {first, std::min(end, image.height) - first};
}

Image resized(const ImageView& image, const Box& box, ImageSize out) {
  Image result{out.height, out.width, {}};
  result.pixels.resize(static_cast<std::size_t>(out.height) * static_cast<std::size_t>(out.width) * channels);
  resize(image, box, out, result.pixels.data());
  return result;
}

Box cut_box(ImageSize image, int shorter, ImageSize out, Cut cut) {
  check(shorter >= out.height && shorter >= out.width, "a part that is larger than the resized image");
  const bool upright = image.height >= image.width;
  const double ratio = upright ? static_cast<double>(image.height) / image.width
                               : static_cast<double>(image.width) / image.height;
  const double longer = std::floor(shorter * ratio + 1e-9);
  const double height = upright ? longer : shorter, width = upright ? shorter : longer;
  const double down = image.height / height, across = image.width / width;  // input pixels per pixel
  double top = std::nearbyint((height - out.height) / 2), left = std::nearbyint((width - out.width) / 2);
  if (cut != Cut::middle) {
    top = cut == Cut::bottom_left || cut == Cut::bottom_right ? height - out.height : 0;
    left = cut == Cut::top_right || cut == Cut::bottom_right ? width - out.width : 0;
  }
  return {top * down, left * across, out.height * down, out.width * across, false};
}

Box PictureView::box(ImageSize picture, ImageSize out) const {
  if (!own_size_as_is || picture != out) return cut_box(picture, shorter, out, cut);
  return {0, 0, static_cast<double>(out.height), static_cast<double>(out.width), false};
}

void to_gray(const std::uint8_t* rgb, std::int64_t count, std::uint8_t* gray) {
  for (std::int64_t i = 0; i < count; ++i, rgb += channels)
    gray[i] = static_cast<std::uint8_t>((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + (1 << 15)) >> 16);
}

}  // namespace convoy
