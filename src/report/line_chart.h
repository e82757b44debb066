// A curve with its axes, as a picture.
#pragma once

#include <string>
#include <vector>

#include "src/io/picture.h"

namespace convoy {

struct LineChart {
  struct Point {
    double x = 0, y = 0;
  };
  struct Mark {
    double x = 0;
    std::string text;
  };
  std::string x_title, y_title;
  std::vector<Point> points;  ///< x above 0 and rising; drawn over log x
  std::vector<Mark> marks;    ///< vertical lines with a text each
  double highest = 0;         ///< y beyond it is cut off
};

/// 720 x 420 pixels in gray. A chart of fewer than two points has axes alone.
Picture draw(const LineChart& chart);

}  // namespace convoy
