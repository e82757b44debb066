#include "src/engine/upload_cuda.h"

namespace convoy {
namespace {

CudaStream make_copy_stream() {
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return CudaStream(stream);
}

}  // namespace

CudaUploader::CudaUploader() : stream_(make_copy_stream()) {}

CudaUploader::~CudaUploader() {
  cudaStreamSynchronize(stream_.get());  // copies may still read the memory
}

void CudaUploader::copy(int slot, void* device, const std::uint8_t* host, std::size_t bytes) {
  check_cuda(cudaStreamWaitEvent(stream_.get(), at(slot).read.get(), 0));
  check_cuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_.get()));
  check_cuda(cudaEventRecord(at(slot).copied.get(), stream_.get()));
}

cudaError_t CudaUploader::copied(int slot) const {
  return cudaEventQuery(slots_.at(static_cast<std::size_t>(slot)).copied.get());
}

void CudaUploader::begin_step(cudaStream_t compute, int slot) {
  check_cuda(cudaStreamWaitEvent(compute, at(slot).copied.get(), 0));
}

void CudaUploader::end_step(cudaStream_t compute, int slot) {
  check_cuda(cudaEventRecord(at(slot).read.get(), compute));
}

void CudaUploader::join(cudaStream_t compute) {
  for (const Slot& slot : slots_) check_cuda(cudaStreamWaitEvent(compute, slot.copied.get(), 0));
}

}  // namespace convoy
