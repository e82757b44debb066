#include "src/data/summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/ceil_div.h"

namespace convoy {
namespace {

constexpr int largest_side = 96, gap = 2, longest_label = 20, label_gap = 4;
constexpr std::uint8_t ground = 255;

/// A sample (D,H,W,C) as evaluation would see it.
void read_image(const Dataset& data, std::int32_t sample, std::vector<std::uint8_t>& pixels) {
  pixels.resize(static_cast<std::size_t>(data.image.count()));
  fetch_image(data, sample, {}, pixels.data());
}

/// Copies a sample to `out`, a place in a picture of `stride` pixels per row, each pixel the mean of a square
/// of `shrink` by `shrink`.
void draw(const FeatureShape& image, const std::vector<std::uint8_t>& pixels, int shrink, int channels,
          std::uint8_t* out, int stride) {
  const std::uint8_t* slice = pixels.data() + std::int64_t{image.d / 2} * image.h * image.w * image.c;
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

std::vector<std::int64_t> counts_of(const Dataset& data, const std::vector<std::int32_t>& samples) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(data.classes), 0);
  for (const std::int32_t sample : samples)
    ++counts[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(sample)])];
  return counts;
}

ChannelStatistics channel_statistics(const Dataset& data, const std::vector<std::int32_t>& samples) {
  ChannelStatistics statistics;
  const auto channels = static_cast<std::size_t>(data.image.c);
  std::vector<std::array<std::int64_t, 256>> seen(channels);  // pixels of each value: sums without rounding
  std::vector<std::uint8_t> pixels;
  for (const std::int32_t sample : samples) {
    read_image(data, sample, pixels);
    const std::uint8_t* pixel = pixels.data();
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
    statistics.mean.push_back(mean);
    statistics.std.push_back(std::sqrt(squares / std::max(count, 1.0)));
  }
  return statistics;
}

DataSummary summarize(const Dataset& data) {
  ChannelStatistics statistics = channel_statistics(data, data.train);
  return {counts_of(data, data.train), counts_of(data, data.validation), counts_of(data, data.test),
          std::move(statistics.mean), std::move(statistics.std)};
}

Picture contact_sheet(const Dataset& data, int columns, const std::vector<std::string>& names) {
  const FeatureShape& image = data.image;
  const int shrink = ceil_div(std::max(image.h, image.w), largest_side);
  const int tile = std::max(image.h / shrink, 1), width = std::max(image.w / shrink, 1) + gap;
  const int height = std::max(tile, text_height) + gap;
  std::vector<std::string> labels;
  int label_width = 0;
  for (int label = 0; label < data.classes; ++label) {
    const auto i = static_cast<std::size_t>(label);
    labels.push_back(shortened(i < names.size() ? names[i] : std::to_string(label), longest_label));
    label_width = std::max(label_width, text_width(labels.back()));
  }
  const int left = gap + label_width + label_gap;
  Picture sheet =
      plain_picture(gap + data.classes * height, left + columns * width, image.c == 3 ? 3 : 1, ground);
  for (int label = 0; label < data.classes; ++label) {
    draw_text(sheet, gap + label * height + (height - gap - text_height) / 2, gap,
              labels[static_cast<std::size_t>(label)]);
  }
  std::vector<std::uint8_t> pixels;
  std::vector<int> drawn(static_cast<std::size_t>(data.classes), 0);
  for (const std::int32_t sample : data.train) {
    const int label = data.labels[static_cast<std::size_t>(sample)];
    const int column = drawn[static_cast<std::size_t>(label)]++;
    if (column >= columns) continue;
    const std::int64_t first = (gap + std::int64_t{label} * height) * sheet.width + left + column * width;
    read_image(data, sample, pixels);
    draw(image, pixels, shrink, sheet.channels, sheet.pixels.data() + first * sheet.channels, sheet.width);
  }
  return sheet;
}

}  // namespace convoy
