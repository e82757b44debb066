// Charts as SVG, drawn with the page's colours (page.cpp): series i has the classes "s<i mod 8>".
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace convoy {

/// `text` where it cannot be taken for markup.
std::string html_text(const std::string& text);

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< x, y; what is not finite is left out
  bool dashed = false;
  bool dots = false;  ///< points alone, without a line
};
struct ChartAxes {
  std::string title;  ///< what the chart shows; read out in place of the picture
  std::string x, y;   ///< what stands at the axes, with units
  bool log_x = false, log_y = false;
};
/// Lines or dots over two axes. Values at or below 0 have no place on a logarithmic axis and are left out.
std::string line_chart(const ChartAxes& axes, const std::vector<Series>& series);

struct Bar {
  std::string label;
  double value = 0, low = 0, high = 0;  ///< with its spread
  std::string text;                     ///< stands behind it
  std::size_t color = 0;
};
struct BarGroup {
  std::string name;
  std::vector<Bar> bars;
};
/// Bars from left to right, below one another; on a logarithmic axis they begin at a power of ten below the
/// smallest.
std::string bar_chart(const ChartAxes& axes, const std::vector<BarGroup>& groups);

struct Share {
  std::string name;
  double value = 0;
};
/// One bar that is cut into shares of its length, with a legend.
std::string stacked_bar(const std::string& title, const std::vector<Share>& shares);

/// A table of numbers as squares, darker where the share of the row is larger: rows are labels, columns
/// answers.
std::string heat_map(const std::string& title, const std::vector<std::string>& names,
                     const std::vector<std::vector<double>>& rows);

}  // namespace convoy
