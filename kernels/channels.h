// Channels that are copied to other places: branches that are joined, slices, groups that are shuffled. A row
// is a pixel of an image with its channels.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// y (rows, sum of c) = the parts side by side: part i is x[i] (rows,c[i]), or zeros where x[i] is absent.
struct ConcatChannels {
  static constexpr const char* name = "channels.concat";
  std::int64_t rows = 0;
  std::vector<int> c;
  std::vector<Tensor> x;
  Tensor y;
  ConcatChannels again() const { return *this; }
  std::int64_t flops() const { return 0; }
  std::string describe() const { return fmt::format("rows={} c={}", rows, fmt::join(c, "+")); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    for (auto& part : call.x) v.reads(part);
    v.writes(call.y);
  }
};

/// y (rows,count) = channels [first, first + count) of x (rows,c).
struct SliceChannels {
  static constexpr const char* name = "channels.slice";
  std::int64_t rows = 0;
  int c = 0, first = 0, count = 0;
  Tensor x, y;
  SliceChannels again() const { return *this; }
  std::int64_t flops() const { return 0; }
  std::string describe() const {
    return fmt::format("rows={} c={} from {} to {}", rows, c, first, first + count);
  }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.y);
  }
};

/// Channels as a matrix of `groups` rows, transposed: y(r, j * groups + g) = x(r, g * c / groups + j). With
/// c / groups in place of groups it is the inverse, which is the backward pass.
struct ShuffleChannels {
  static constexpr const char* name = "channels.shuffle";
  std::int64_t rows = 0;
  int c = 0, groups = 1;  ///< groups divides c
  Tensor x, y;
  ShuffleChannels again() const { return *this; }
  std::int64_t flops() const { return 0; }
  std::string describe() const { return fmt::format("rows={} c={} groups={}", rows, c, groups); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.y);
  }
};

CONVOY_LAUNCHERS(ConcatChannels);
CONVOY_LAUNCHERS(SliceChannels);
CONVOY_LAUNCHERS(ShuffleChannels);

}  // namespace convoy
