// CUDA's errors as exceptions and its handles as owners. Only sources that are built with CUDA include it.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <source_location>
#include <type_traits>

#include "core/error.h"

namespace convoy {

/// Throws with CUDA's name and text of the error and the place of the call.
inline void check_cuda(cudaError_t status, std::source_location where = std::source_location::current()) {
  if (status != cudaSuccess) {
    fail("CUDA: {}: {} ({}:{})", cudaGetErrorName(status), cudaGetErrorString(status), where.file_name(),
         where.line());
  }
}
/// After a kernel launch: throws when it was refused.
inline void check_launch(std::source_location where = std::source_location::current()) {
  check_cuda(cudaGetLastError(), where);
}

struct CudaDeleter {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};
struct CudaFree {
  void operator()(void* memory) const { cudaFree(memory); }
};
template <class Handle, class Deleter = CudaDeleter>
using CudaHandle = std::unique_ptr<std::remove_pointer_t<Handle>, Deleter>;
using CudaStream = CudaHandle<cudaStream_t>;
using CudaEvent = CudaHandle<cudaEvent_t>;
using CudaGraph = CudaHandle<cudaGraph_t>;
using CudaGraphExec = CudaHandle<cudaGraphExec_t>;
template <class T>
using DeviceMemory = std::unique_ptr<T, CudaFree>;

struct CudaFreeHost {
  void operator()(void* memory) const { cudaFreeHost(memory); }
};
/// Page-locked host memory, which devices see at the same address.
template <class T>
using PinnedMemory = std::unique_ptr<T, CudaFreeHost>;

/// `count` values of device memory, as they come.
template <class T>
DeviceMemory<T> allocate_device(std::size_t count,
                                std::source_location where = std::source_location::current()) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, count * sizeof(T)), where);
  return DeviceMemory<T>(static_cast<T*>(memory));
}

template <class T>
PinnedMemory<T> allocate_pinned(std::size_t count) {
  void* memory = nullptr;
  if (const cudaError_t status = cudaMallocHost(&memory, count * sizeof(T)); status != cudaSuccess)
    fail("cannot page-lock {} bytes of host memory: {}", count * sizeof(T), cudaGetErrorString(status));
  return PinnedMemory<T>(static_cast<T*>(memory));
}

}  // namespace convoy
