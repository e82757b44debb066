#include "src/study/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace convoy {
namespace {

constexpr double width = 640, height = 360;
constexpr double left = 64, right = 16, top = 12, bottom = 44;
constexpr std::size_t colors = 8;

std::string color_of(std::size_t series) {
  return fmt::format("s{}", series % colors);
}

/// A number as axes show it: 0.05, 20, 5k, 2M.
std::string short_number(double x) {
  const double size = std::abs(x);
  if (size >= 1e9) return fmt::format("{:g}G", x / 1e9);
  if (size >= 1e6) return fmt::format("{:g}M", x / 1e6);
  if (size >= 1e3) return fmt::format("{:g}k", x / 1e3);
  if (size > 0 && size < 1e-3) return fmt::format("{:.0e}", x);
  return fmt::format("{:g}", x);
}

/// A range of values on a range of pixels.
class Scale {
 public:
  Scale(std::vector<double> values, bool log, double from, double to) : log_(log), from_(from), to_(to) {
    const auto useless = [&](double x) { return !std::isfinite(x) || (log && x <= 0); };
    std::erase_if(values, useless);
    low_ = values.empty() ? (log ? 1 : 0) : *std::min_element(values.begin(), values.end());
    high_ = values.empty() ? (log ? 10 : 1) : *std::max_element(values.begin(), values.end());
    if (log) {
      low_ = std::pow(10, std::floor(std::log10(low_))), high_ = std::pow(10, std::ceil(std::log10(high_)));
      if (high_ <= low_) high_ = low_ * 10;
    } else {
      const double step = step_of(high_ - low_ > 0 ? high_ - low_ : std::max(std::abs(high_), 1.0));
      low_ = std::floor(low_ / step) * step, high_ = std::ceil(high_ / step) * step;
      if (high_ <= low_) high_ = low_ + step;
    }
  }
  bool has(double x) const { return std::isfinite(x) && (!log_ || x > 0); }
  double at(double x) const {
    const double share = log_ ? std::log(x / low_) / std::log(high_ / low_) : (x - low_) / (high_ - low_);
    return from_ + std::clamp(share, 0.0, 1.0) * (to_ - from_);
  }
  std::vector<double> ticks() const {
    std::vector<double> all;
    if (log_) {
      const double decades = std::log10(high_ / low_);
      for (double x = low_; x <= high_ * 1.001; x *= 10) {
        for (const double m : {1.0, 2.0, 5.0}) {
          if ((m == 1 || decades < 2.5) && m * x <= high_ * 1.001) all.push_back(m * x);
        }
      }
    } else {
      const double step = step_of(high_ - low_);
      for (int i = 0; low_ + i * step <= high_ + step / 1000; ++i) {
        const double x = low_ + i * step;
        all.push_back(std::abs(x) < step / 1000 ? 0 : x);
      }
    }
    return all;
  }

 private:
  /// 1, 2 or 5 times a power of ten, about a fifth of the range.
  static double step_of(double range) {
    const double power = std::pow(10, std::floor(std::log10(range / 5)));
    const double part = range / 5 / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
  }
  bool log_;
  double low_ = 0, high_ = 1, from_, to_;
};

std::string text_at(double x, double y, const char* anchor, const std::string& text,
                    const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     html_text(text));
}

std::string begin_svg(const std::string& title, double h) {
  return fmt::format("<svg viewBox=\"0 0 {} {:.0f}\" role=\"img\" aria-label=\"{}\">\n<title>{}</title>\n",
                     width, h, html_text(title), html_text(title));
}

std::string line_at(double x1, double y1, double x2, double y2, const std::string& kind) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1,
                     x2, y2, kind);
}

std::string both_axes(const ChartAxes& axes, const Scale& x, const Scale& y) {
  std::string out;
  for (const double tick : x.ticks()) {
    out += line_at(x.at(tick), top, x.at(tick), height - bottom, "grid");
    out += text_at(x.at(tick), height - bottom + 16, "middle", short_number(tick));
  }
  for (const double tick : y.ticks()) {
    out += line_at(left, y.at(tick), width - right, y.at(tick), "grid");
    out += text_at(left - 6, y.at(tick) + 4, "end", short_number(tick));
  }
  out += text_at((left + width - right) / 2, height - 6, "middle", axes.x);
  const double middle = (top + height - bottom) / 2;
  out += text_at(14, middle, "middle", axes.y, fmt::format(" transform=\"rotate(-90 14 {:.1f})\"", middle));
  return out;
}

/// Names with their colours, as HTML below the picture.
std::string legend(const std::vector<std::string>& names) {
  std::string out = "<p class=\"legend\">";
  for (std::size_t i = 0; i < names.size(); ++i)
    out += fmt::format("<span class=\"{}\">\u25a0</span> {} ", color_of(i), html_text(names[i]));
  return out + "</p>\n";
}

}  // namespace

std::string html_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string line_chart(const ChartAxes& axes, const std::vector<Series>& series) {
  std::vector<double> xs, ys;
  for (const Series& s : series) {
    for (const auto& [x, y] : s.points) xs.push_back(x), ys.push_back(y);
  }
  const Scale x(xs, axes.log_x, left, width - right), y(ys, axes.log_y, height - bottom, top);
  std::string out = "<figure>" + begin_svg(axes.title, height) + both_axes(axes, x, y);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < series.size(); ++i) {
    const Series& s = series[i];
    names.push_back(s.name);
    std::string path, dots;
    for (const auto& [px, py] : s.points) {
      if (!x.has(px) || !y.has(py)) continue;
      path += fmt::format("{:.1f},{:.1f} ", x.at(px), y.at(py));
      dots += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" class=\"{}\"><title>{}: {}, {}</title></circle>\n",
          x.at(px), y.at(py), color_of(i), html_text(s.name), short_number(px), short_number(py));
    }
    if (!s.dots)
      out += fmt::format("<polyline points=\"{}\" class=\"{}{}\"/>\n", path, color_of(i),
                         s.dashed ? " dashed" : "");
    if (!s.dashed) out += dots;
  }
  return out + "</svg>\n" + legend(names) + "</figure>\n";
}

std::string bar_chart(const ChartAxes& axes, const std::vector<BarGroup>& groups) {
  constexpr double bar = 18, gap = 26, from = 180, behind = 90;
  std::vector<double> values;
  if (!axes.log_x) values.push_back(0);
  double h = top;
  for (const BarGroup& group : groups) {
    h += gap + bar * static_cast<double>(group.bars.size());
    for (const Bar& b : group.bars) values.insert(values.end(), {b.value, b.low, b.high});
  }
  if (axes.log_x) {  // so that the smallest bar is one
    double least = std::numeric_limits<double>::infinity();
    for (const double v : values) {
      if (v > 0) least = std::min(least, v);
    }
    if (std::isfinite(least)) values.push_back(least / 2);
  }
  const Scale x(values, axes.log_x, from, width - behind);
  std::string out = "<figure>" + begin_svg(axes.title, h + bottom);
  for (const double tick : x.ticks()) {
    out += line_at(x.at(tick), top, x.at(tick), h, "grid");
    out += text_at(x.at(tick), h + 16, "middle", short_number(tick));
  }
  out += text_at((from + width - behind) / 2, h + 36, "middle", axes.x);
  double at = top;
  for (const BarGroup& group : groups) {
    out += text_at(0, at + 16, "start", group.name, " class=\"group\"");
    at += gap - 4;
    for (const Bar& b : group.bars) {
      out += text_at(from - 8, at + 13, "end", b.label);
      if (x.has(b.value)) {
        const double end = x.at(b.value);
        out += fmt::format("<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\"/>\n",
                           from, at + 2, std::max(end - from, 1.0), bar - 4, color_of(b.color));
        if (b.low < b.high) out += line_at(x.at(b.low), at + bar / 2, x.at(b.high), at + bar / 2, "spread");
        out += text_at(std::max(end, x.at(b.high)) + 6, at + 13, "start", b.text);
      } else {
        out += text_at(from + 6, at + 13, "start", b.text.empty() ? "not measured" : b.text);
      }
      at += bar;
    }
    at += 4;
  }
  return out + "</svg></figure>\n";
}

std::string stacked_bar(const std::string& title, const std::vector<Share>& shares) {
  constexpr double h = 44;
  double total = 0;
  for (const Share& share : shares) total += share.value;
  std::string out = "<figure>" + begin_svg(title, h);
  std::vector<std::string> names;
  double at = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double part = total > 0 ? shares[i].value / total : 0;
    out += fmt::format(
        "<rect x=\"{:.1f}\" y=\"6\" width=\"{:.1f}\" height=\"32\" class=\"{}\"><title>{}</title></rect>\n",
        at, part * width, color_of(i), html_text(shares[i].name));
    at += part * width;
    names.push_back(fmt::format("{} {:.1f} %", shares[i].name, 100 * part));
  }
  return out + "</svg>\n" + legend(names) + "</figure>\n";
}

std::string heat_map(const std::string& title, const std::vector<std::string>& names,
                     const std::vector<std::vector<double>>& rows) {
  const std::size_t n = rows.size();
  constexpr double from = 120, head = 20;
  const double side = std::min((width - from) / static_cast<double>(std::max<std::size_t>(n, 1)), 40.0);
  std::string out = "<figure>" + begin_svg(title, head + side * static_cast<double>(n) + 4);
  const auto name = [&](std::size_t i) {
    return i < names.size() && !names[i].empty() ? names[i] : std::to_string(i);
  };
  for (std::size_t i = 0; i < n; ++i) {
    const double y = head + side * static_cast<double>(i);
    out += text_at(from - 6, y + side / 2 + 4, "end", name(i));
    out += text_at(from + side * (static_cast<double>(i) + 0.5), head - 6, "middle", name(i).substr(0, 5));
    double total = 0;
    for (const double value : rows[i]) total += value;
    for (std::size_t j = 0; j < rows[i].size(); ++j) {
      const double x = from + side * static_cast<double>(j), share = total > 0 ? rows[i][j] / total : 0;
      out += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\" "
          "fill-opacity=\"{:.3f}\"><title>{} as {}: {}</title></rect>\n",
          x, y, side - 1, side - 1, i == j ? "s0" : "s1", share, html_text(name(i)), html_text(name(j)),
          rows[i][j]);
      if (side >= 24 && rows[i][j] > 0)
        out +=
            text_at(x + side / 2, y + side / 2 + 4, "middle", short_number(rows[i][j]), " class=\"small\"");
    }
  }
  return out + "</svg></figure>\n";
}

}  // namespace convoy
