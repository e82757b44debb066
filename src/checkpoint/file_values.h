// The numbers of a file's tensors.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "src/io/safetensors.h"

namespace convoy {

template <class T>
std::vector<T> values_at(const std::byte* bytes, std::size_t size) {
  std::vector<T> typed(size / sizeof(T));
  std::memcpy(typed.data(), bytes, size);
  return typed;
}

/// Of a floating-point tensor.
std::vector<double> to_values(const FileTensor& tensor);

/// Throw Error that names the file and the tensor.
void require_float(const FileTensor& tensor, const std::string& tensor_name, const std::string& name);
void require_finite(std::span<const double> values, const std::string& tensor_name, const std::string& name);

}  // namespace convoy
