#include "src/data/summary.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace convoy {
namespace {

constexpr int largest_side = 96, gap = 2;
constexpr std::uint8_t ground = 255;

/// (D,H,W,C) of one sample.
const std::uint8_t* pixels_of(const Dataset& data, std::int32_t sample) {
  return data.images.data() + sample * data.image.count();
}

std::vector<std::int64_t> counts_of(const Dataset& data, const std::vector<std::int32_t>& samples) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(data.classes), 0);
  for (const std::int32_t sample : samples)
    ++counts[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(sample)])];
  return counts;
}

/// Copies a sample to `out`, a place in a picture of `stride` pixels per row, each pixel the mean of a square
/// of `shrink` by `shrink`.
void draw(const Dataset& data, std::int32_t sample, int shrink, int channels, std::uint8_t* out, int stride) {
  const FeatureShape& image = data.image;
  const std::uint8_t* slice =
      pixels_of(data, sample) + std::int64_t{image.d / 2} * image.h * image.w * image.c;
  for (int h = 0; h < image.h / shrink; ++h) {
    for (int w = 0; w < image.w / shrink; ++w) {
      for (int c = 0; c < channels; ++c) {
        int sum = 0;
        for (int dh = 0; dh < shrink; ++dh) {
          for (int dw = 0; dw < shrink; ++dw)
            sum += slice[((h * shrink + dh) * image.w + w * shrink + dw) * image.c + c];
        }
        out[(std::int64_t{h} * stride + w) * channels + c] =
            static_cast<std::uint8_t>((sum + shrink * shrink / 2) / (shrink * shrink));
      }
    }
  }
}

}  // namespace

DataSummary summarize(const Dataset& data) {
  DataSummary summary{counts_of(data, data.train), counts_of(data, data.validation), {}, {}};
  const auto channels = static_cast<std::size_t>(data.image.c);
  std::vector<std::array<std::int64_t, 256>> seen(channels);  // pixels of each value: sums without rounding
  for (const std::int32_t sample : data.train) {
    const std::uint8_t* pixel = pixels_of(data, sample);
    for (std::int64_t i = 0; i < data.image.pixels(); ++i) {
      for (std::size_t c = 0; c < channels; ++c) ++seen[c][*pixel++];
    }
  }
  for (const auto& values : seen) {
    double count = 0, sum = 0, squares = 0;
    for (std::size_t v = 0; v < values.size(); ++v) {
      const auto number = static_cast<double>(values[v]), value = static_cast<double>(v) / 255;
      count += number, sum += number * value;
    }
    const double mean = sum / std::max(count, 1.0);
    for (std::size_t v = 0; v < values.size(); ++v)
      squares += static_cast<double>(values[v]) * std::pow(static_cast<double>(v) / 255 - mean, 2);
    summary.mean.push_back(mean);
    summary.std.push_back(std::sqrt(squares / std::max(count, 1.0)));
  }
  return summary;
}

Picture contact_sheet(const Dataset& data, int columns) {
  const FeatureShape& image = data.image;
  const int shrink = (std::max(image.h, image.w) + largest_side - 1) / largest_side;
  const int height = std::max(image.h / shrink, 1) + gap, width = std::max(image.w / shrink, 1) + gap;
  Picture sheet{gap + data.classes * height, gap + columns * width, image.c == 3 ? 3 : 1, {}};
  sheet.pixels.assign(static_cast<std::size_t>(std::int64_t{sheet.height} * sheet.width * sheet.channels),
                      ground);
  std::vector<int> drawn(static_cast<std::size_t>(data.classes), 0);
  for (const std::int32_t sample : data.train) {
    const int label = data.labels[static_cast<std::size_t>(sample)];
    const int column = drawn[static_cast<std::size_t>(label)]++;
    if (column >= columns) continue;
    const std::int64_t first = (gap + std::int64_t{label} * height) * sheet.width + gap + column * width;
    draw(data, sample, shrink, sheet.channels, sheet.pixels.data() + first * sheet.channels, sheet.width);
  }
  return sheet;
}

}  // namespace convoy
