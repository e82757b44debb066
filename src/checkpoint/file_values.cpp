#include "src/checkpoint/file_values.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace convoy {
namespace {

template <class T>
std::vector<double> doubles_in(const FileTensor& tensor) {
  const std::vector<T> values = values_at<T>(tensor.bytes.data(), tensor.bytes.size());
  std::vector<double> doubles(values.size());
  std::transform(values.begin(), values.end(), doubles.begin(), [](T value) {
    if constexpr (sizeof(T) == 2)
      return static_cast<double>(static_cast<float>(value));
    else
      return static_cast<double>(value);
  });
  return doubles;
}

}  // namespace

std::vector<double> to_values(const FileTensor& tensor) {
  if (tensor.dtype == DType::f64) return doubles_in<double>(tensor);
  if (tensor.dtype == DType::f16) return doubles_in<Half>(tensor);
  return tensor.dtype == DType::bf16 ? doubles_in<BFloat16>(tensor) : doubles_in<float>(tensor);
}

void require_float(const FileTensor& tensor, const std::string& tensor_name, const std::string& name) {
  if (!is_float(tensor.dtype))
    fail("{}: tensor {} holds {}, no floating-point numbers", name, tensor_name, name_of(tensor.dtype));
}

void require_finite(std::span<const double> values, const std::string& tensor_name, const std::string& name) {
  const auto odd =
      std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
  if (odd != values.end())
    fail("{}: tensor {} has values that are not finite, the first is number {}: {}", name, tensor_name,
         odd - values.begin(), *odd);
}

}  // namespace convoy
