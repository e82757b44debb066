// Staged batches on their way to a GPU: a stream whose copies run beside the steps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/cuda_event.h"
#include "core/step_state.h"

namespace convoy {

/// Two events per slot keep copies and steps in order; neither waits for the host. Belongs to the device that
/// is current when it is made.
class CudaUploader {
 public:
  CudaUploader();
  ~CudaUploader();
  CudaUploader(const CudaUploader&) = delete;
  CudaUploader& operator=(const CudaUploader&) = delete;

  /// Queues the copy of `bytes` from page-locked `host` to `device`, memory of this slot, after the last step
  /// that read the slot.
  void copy(int slot, void* device, const std::uint8_t* host, std::size_t bytes);
  /// Whether the slot's last copy has finished: cudaErrorNotReady until then; success also if there was no
  /// copy.
  cudaError_t copied(int slot) const;

  /// Before and after a step that reads the slot is queued on `compute`, outside of any capture.
  void begin_step(cudaStream_t compute, int slot);
  void end_step(cudaStream_t compute, int slot);
  /// What is queued on `compute` from here on waits for the copies queued so far.
  void join(cudaStream_t compute);

 private:
  /// Waiting for an event that was never recorded returns at once.
  struct Slot {
    CudaEvent copied = make_event(), read = make_event();
  };
  Slot& at(int slot) { return slots_.at(static_cast<std::size_t>(slot)); }

  CudaStream stream_;
  std::array<Slot, staging_slots> slots_;
};

}  // namespace convoy
