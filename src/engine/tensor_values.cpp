#include "src/engine/tensor_values.h"

#include <algorithm>
#include <type_traits>

namespace convoy {
namespace {

template <class T>
std::vector<double> read_as(Engine& engine, const Tensor& tensor) {
  std::vector<T> values(static_cast<std::size_t>(tensor.count));
  engine.read(tensor, values.data());
  std::vector<double> out;
  out.reserve(values.size());
  for (const T value : values) {
    if constexpr (std::is_arithmetic_v<T>)
      out.push_back(static_cast<double>(value));
    else
      out.push_back(static_cast<double>(static_cast<float>(value)));
  }
  return out;
}

template <class T>
void write_as(Engine& engine, const Tensor& tensor, const std::vector<double>& values) {
  std::vector<T> typed(values.size());
  std::transform(values.begin(), values.end(), typed.begin(), [](double v) { return static_cast<T>(v); });
  engine.write(tensor, typed.data());
}

/// Calls function(T{}) with the type that a tensor of numbers is stored in.
template <class Function>
auto with_type(DType type, Function function) {
  switch (type) {
    case DType::f32:
      return function(float{});
    case DType::f64:
      return function(double{});
    case DType::f16:
      return function(Half{});
    case DType::bf16:
      return function(BFloat16{});
    case DType::i32:
      return function(std::int32_t{});
    default:
      fail("internal error: values of type {}", name_of(type));
  }
}

}  // namespace

std::vector<double> read_values(Engine& engine, const Tensor& tensor) {
  return with_type(tensor.dtype, [&](auto t) { return read_as<decltype(t)>(engine, tensor); });
}

void write_values(Engine& engine, const Tensor& tensor, const std::vector<double>& values) {
  check(static_cast<std::int64_t>(values.size()) == tensor.count, "as many values as the tensor has");
  with_type(tensor.dtype, [&](auto t) { write_as<decltype(t)>(engine, tensor, values); });
}

}  // namespace convoy
