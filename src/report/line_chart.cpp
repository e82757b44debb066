#include "src/report/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace convoy {
namespace {

constexpr int width = 720, height = 420, left = 64, right = 16, top = 28, bottom = 40;
constexpr std::uint8_t grid_shade = 220, mark_shade = 140;

void fill(Picture& picture, int row, int column, int rows, int columns, std::uint8_t shade) {
  paste(picture, row, column, plain_picture(rows, columns, 1, shade));
}

/// A step of 1, 2 or 5 times a power of ten that divides the range into at most ten.
double tick_step(double range) {
  const double unit = std::pow(10, std::floor(std::log10(range / 10)));
  for (const double times : {1, 2, 5})
    if (range / (times * unit) <= 10) return times * unit;
  return 10 * unit;
}

}  // namespace

Picture draw(const LineChart& chart) {
  Picture picture = plain_picture(height, width, 1, 255);
  draw_text(picture, 4, 4, chart.y_title);
  draw_text(picture, height - text_height - 4, (width - text_width(chart.x_title)) / 2, chart.x_title);
  fill(picture, top, left, height - top - bottom, 1, 0);
  fill(picture, height - bottom, left, 1, width - left - right, 0);
  if (chart.points.size() < 2) return picture;

  const auto by_y = [](const LineChart::Point& a, const LineChart::Point& b) { return a.y < b.y; };
  const double low = std::min_element(chart.points.begin(), chart.points.end(), by_y)->y;
  const double high = std::max(chart.highest, low + 1e-6 * (std::abs(low) + 1));
  const double first = std::log10(chart.points.front().x), last = std::log10(chart.points.back().x);
  const auto column = [&](double x) {
    return left + static_cast<int>(
                      std::lround((std::log10(x) - first) / (last - first) * (width - left - right - 1)));
  };
  const auto row = [&](double y) {
    const double share = std::clamp((y - low) / (high - low), 0.0, 1.0);
    return height - bottom - 1 - static_cast<int>(std::lround(share * (height - top - bottom - 1)));
  };
  for (double power = std::ceil(first); power <= last; power += 1) {
    const std::string text = fmt::format("1e{:.0f}", power);
    const int x = column(std::pow(10, power));
    fill(picture, top, x, height - top - bottom, 1, grid_shade);
    draw_text(picture, height - bottom + 6, x - text_width(text) / 2, text);
  }
  const double step = tick_step(high - low);
  for (double y = std::ceil(low / step) * step; y <= high; y += step) {
    const std::string text = fmt::format("{:.4g}", y);
    fill(picture, row(y), left + 1, 1, width - left - right - 1, grid_shade);
    draw_text(picture, row(y) - text_height / 2, left - 6 - text_width(text), text);
  }
  int line = 4;  // texts one below the other, so that near marks can be read
  for (const LineChart::Mark& mark : chart.marks) {
    const int x = column(mark.x);
    fill(picture, top, x, height - top - bottom, 1, mark_shade);
    draw_text(picture, line, std::min(x, width - right - text_width(mark.text)), mark.text);
    line += text_height + 3;
  }
  // From each column to the next, as high as the curve is there.
  for (std::size_t i = 0; i + 1 < chart.points.size(); ++i) {
    const auto& [x, y] = chart.points[i];
    const auto& [next_x, next_y] = chart.points[i + 1];
    const int from = column(x), to = std::max(column(next_x), from + 1);
    for (int c = from; c < to; ++c) {
      const auto at = [&](int of) { return row(y + (next_y - y) * (of - from) / (to - from)); };
      const int a = at(c), b = at(c + 1);
      fill(picture, std::min(a, b), c, std::abs(a - b) + 2, 1, 0);
    }
  }
  return picture;
}

}  // namespace convoy
