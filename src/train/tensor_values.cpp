#include "src/train/tensor_values.h"

#include <algorithm>

namespace convoy {
namespace {

template <class T>
std::vector<double> read_as(Engine& engine, const Tensor& tensor) {
  std::vector<T> values(static_cast<std::size_t>(tensor.count));
  engine.read(tensor, values.data());
  return {values.begin(), values.end()};
}

template <class T>
void write_as(Engine& engine, const Tensor& tensor, const std::vector<double>& values) {
  std::vector<T> typed(values.size());
  std::transform(values.begin(), values.end(), typed.begin(), [](double v) { return static_cast<T>(v); });
  engine.write(tensor, typed.data());
}

}  // namespace

std::vector<double> read_values(Engine& engine, const Tensor& tensor) {
  return tensor.dtype == DType::f64 ? read_as<double>(engine, tensor) : read_as<float>(engine, tensor);
}

void write_values(Engine& engine, const Tensor& tensor, const std::vector<double>& values) {
  check(static_cast<std::int64_t>(values.size()) == tensor.count, "as many values as the tensor has");
  tensor.dtype == DType::f64 ? write_as<double>(engine, tensor, values)
                             : write_as<float>(engine, tensor, values);
}

}  // namespace convoy
