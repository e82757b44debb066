#include "src/model/graph.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>
#include <utility>

#include "core/error.h"

namespace convoy {
namespace {

std::int64_t product(const std::vector<std::int64_t>& dims) {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
}

/// So many elements, `stride` apart in memory.
struct Axis {
  std::int64_t length, stride;
};

/// The axes of a parameter in the order of files. Those that lie in memory as in files are one.
std::vector<Axis> file_axes(const Parameter& parameter) {
  const std::size_t rank = parameter.dims.size();
  std::vector<std::int64_t> strides(rank, 1);
  for (std::size_t i = rank - 1; i > 0; --i) strides[i - 1] = strides[i] * parameter.dims[i];
  std::vector<Axis> axes{{1, parameter.count()}};
  for (const int dim : parameter.file_order) {
    const Axis axis{parameter.dims[static_cast<std::size_t>(dim)], strides[static_cast<std::size_t>(dim)]};
    if (axis.length == 1) continue;
    if (axes.back().stride == axis.length * axis.stride)
      axes.back() = {axes.back().length * axis.length, axis.stride};
    else
      axes.push_back(axis);
  }
  return axes;
}

/// Calls f(memory index, file index) for every element along the axes, of indices from these on. The last two
/// axes are walked in tiles, so that cache lines on both sides are used whole.
template <class F>
void for_each_index(std::span<const Axis> axes, std::int64_t memory, std::int64_t file, F& f) {
  if (axes.size() > 2) {
    std::int64_t count = 1;  // of one step along the first axis
    for (const Axis& axis : axes.subspan(1)) count *= axis.length;
    for (std::int64_t i = 0; i < axes[0].length; ++i)
      for_each_index(axes.subspan(1), memory + i * axes[0].stride, file + i * count, f);
    return;
  }
  constexpr std::int64_t tile = 16;
  const Axis outer = axes[0], inner = axes.size() == 2 ? axes[1] : Axis{1, 0};
  for (std::int64_t begin = 0; begin < outer.length; begin += tile) {
    const std::int64_t end = std::min(begin + tile, outer.length);
    for (std::int64_t j = 0; j < inner.length; ++j) {
      for (std::int64_t i = begin; i < end; ++i)
        f(memory + i * outer.stride + j * inner.stride, file + i * inner.length + j);
    }
  }
}

template <class F>
void for_each_index(const Parameter& parameter, F f) {
  const std::vector<Axis> axes = file_axes(parameter);
  for_each_index(std::span(axes), 0, 0, f);
}

template <class T>
void from_files(const Parameter& parameter, const T* values, T* out) {
  for_each_index(parameter, [=](std::int64_t memory, std::int64_t file) { out[memory] = values[file]; });
}

}  // namespace

std::int64_t Parameter::count() const {
  return product(dims);
}

std::int64_t Graph::parameter_count() const {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters) total += parameter.count();
  return total;
}

bool is_in_file_order(const Parameter& parameter) {
  return file_axes(parameter).size() == 1;
}

template <class T>
std::vector<T> to_file_order(const Parameter& parameter, const std::vector<T>& values) {
  if (is_in_file_order(parameter)) return values;
  std::vector<T> out(values.size());
  for_each_index(parameter, [to = out.data(), from = values.data()](std::int64_t memory, std::int64_t file) {
    to[file] = from[memory];
  });
  return out;
}
template <class T>
std::vector<T> from_file_order(const Parameter& parameter, const std::vector<T>& values) {
  if (is_in_file_order(parameter)) return values;
  std::vector<T> out(values.size());
  from_files(parameter, values.data(), out.data());
  return out;
}
void from_file_order(const Parameter& parameter, std::span<const float> values, std::span<float> out) {
  check(std::cmp_equal(values.size(), parameter.count()) && out.size() == values.size(),
        "as many values as the parameter has");
  from_files(parameter, values.data(), out.data());
}
template std::vector<float> to_file_order(const Parameter&, const std::vector<float>&);
template std::vector<double> to_file_order(const Parameter&, const std::vector<double>&);
template std::vector<float> from_file_order(const Parameter&, const std::vector<float>&);
template std::vector<double> from_file_order(const Parameter&, const std::vector<double>&);

}  // namespace convoy
