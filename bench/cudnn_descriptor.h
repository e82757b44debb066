// Descriptors of cuDNN's backend interface, with owners and typed attributes.
#pragma once

#include <cudnn.h>

#include <cstdint>
#include <iterator>
#include <source_location>
#include <utility>
#include <vector>

#include "core/error.h"

namespace convoy {

inline void check_cudnn(cudnnStatus_t status, std::source_location where = std::source_location::current()) {
  if (status != CUDNN_STATUS_SUCCESS) {
    fail("cuDNN: {} ({}:{})", cudnnGetErrorString(status), where.file_name(), where.line());
  }
}

namespace detail {
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type = CUDNN_TYPE_INT64;
template <>
inline constexpr cudnnBackendAttributeType_t attribute_type<float> = CUDNN_TYPE_FLOAT;
template <>
inline constexpr cudnnBackendAttributeType_t attribute_type<void*> = CUDNN_TYPE_VOID_PTR;
template <>
inline constexpr cudnnBackendAttributeType_t attribute_type<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
inline constexpr cudnnBackendAttributeType_t attribute_type<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
inline constexpr cudnnBackendAttributeType_t attribute_type<cudnnConvolutionMode_t> =
    CUDNN_TYPE_CONVOLUTION_MODE;
template <>
inline constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
inline constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendNumericalNote_t> =
    CUDNN_TYPE_NUMERICAL_NOTE;
}  // namespace detail

class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type) {
    check_cudnn(cudnnBackendCreateDescriptor(type, &handle_));
  }
  ~CudnnDescriptor() {
    if (handle_ != nullptr) cudnnBackendDestroyDescriptor(handle_);
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept {
    return std::swap(handle_, other.handle_), *this;
  }

  cudnnBackendDescriptor_t handle() const { return handle_; }

  template <class T>
  void set(cudnnBackendAttributeName_t name, const T& value) {
    check_cudnn(cudnnBackendSetAttribute(handle_, name, detail::attribute_type<T>, 1, &value));
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    check_cudnn(cudnnBackendSetAttribute(handle_, name, detail::attribute_type<T>,
                                         static_cast<std::int64_t>(values.size()), values.data()));
  }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) {
    check_cudnn(cudnnBackendSetAttribute(handle_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.handle_));
  }
  void finalize() { check_cudnn(cudnnBackendFinalize(handle_)); }
  /// False where cuDNN has nothing for what was described.
  bool try_finalize() { return cudnnBackendFinalize(handle_) == CUDNN_STATUS_SUCCESS; }

  /// At most `most` values.
  template <class T>
  std::vector<T> get(cudnnBackendAttributeName_t name, std::int64_t most) const {
    std::vector<T> values(static_cast<std::size_t>(most));
    std::int64_t count = 0;
    check_cudnn(
        cudnnBackendGetAttribute(handle_, name, detail::attribute_type<T>, most, &count, values.data()));
    values.resize(static_cast<std::size_t>(count));
    return values;
  }
  std::int64_t count(cudnnBackendAttributeName_t name) const {
    std::int64_t count = 0;
    check_cudnn(cudnnBackendGetAttribute(handle_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr));
    return count;
  }
  /// At most `most` descriptors of `type`.
  std::vector<CudnnDescriptor> get_descriptors(cudnnBackendAttributeName_t name,
                                               cudnnBackendDescriptorType_t type, std::int64_t most) const {
    std::vector<CudnnDescriptor> descriptors;
    std::vector<cudnnBackendDescriptor_t> handles;
    for (std::int64_t i = 0; i < most; ++i) {
      descriptors.emplace_back(type);
      handles.push_back(descriptors.back().handle_);
    }
    std::int64_t filled = 0;
    check_cudnn(cudnnBackendGetAttribute(handle_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &filled,
                                         handles.data()));
    while (std::ssize(descriptors) > filled) descriptors.pop_back();
    return descriptors;
  }

 private:
  cudnnBackendDescriptor_t handle_ = nullptr;
};

}  // namespace convoy
