// The device's time of work on a stream, from a cold cache.
#pragma once

#include <cstddef>

#include "core/cuda_event.h"

namespace convoy {

/// What it queues before the work is a write to more memory than a cache holds: it empties the cache and
/// lasts long enough for the host to queue the work behind it, so that no launch is waited for.
class CudaStopwatch {
 public:
  void start(cudaStream_t stream) {
    check_cuda(cudaMemsetAsync(flushed_.get(), 0, flushed_bytes, stream));
    check_cuda(cudaEventRecord(begin_.get(), stream));
  }
  void stop(cudaStream_t stream) { check_cuda(cudaEventRecord(end_.get(), stream)); }
  /// To be called when the stream has finished.
  double seconds() const {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, begin_.get(), end_.get()));
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  static constexpr std::size_t flushed_bytes = std::size_t{512} << 20;
  CudaEvent begin_ = make_timed_event(), end_ = make_timed_event();
  DeviceMemory<std::byte> flushed_ = allocate_device<std::byte>(flushed_bytes);
};

}  // namespace convoy
