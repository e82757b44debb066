#include "comm/communicator_nccl.h"

#include <exception>

#include "comm/agree.h"
#include "core/cuda_event.h"

namespace convoy {
namespace {

ncclDataType_t nccl_type(DType type) {
  check(is_float(type), "only floating-point values are summed over ranks");
  if (type == DType::f16) return ncclFloat16;
  if (type == DType::bf16) return ncclBfloat16;
  return type == DType::f32 ? ncclFloat32 : ncclFloat64;
}

CudaStream make_urgent_stream() {
  int lowest = 0, highest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, highest));
  return CudaStream(stream);
}

}  // namespace

NcclCommunicator::NcclCommunicator(const RankEnvironment& ranks, cudaStream_t compute)
    : rank_(ranks.rank()), size_(ranks.size()), compute_(compute) {
  ncclUniqueId id{};
  void* one = nullptr;
  agree(ranks, [&] {
    nccl_.emplace();
    stream_ = make_urgent_stream();
    ready_ = make_event();
    done_ = make_event();
    one = allocate(sizeof(float));
    if (ranks.is_root()) nccl_->check(nccl_->get_unique_id(&id));
  });
  ranks.broadcast(&id, sizeof id);
  // From here to the sum a rank that fails takes the others along through NCCL or the launcher, not by
  // agreement.
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 1;
  ncclComm_t comm = nullptr;
  nccl_->check(nccl_->comm_init_rank_config(&comm, size_, id, rank_, &config));
  comm_ = comm;

  // A first sum opens the connections before any capture, those of registered memory, too; and where
  // peer-to-peer traffic is broken (IOMMU, ACS), better no training than a wrong one.
  float value = 1.0f;
  try {
    register_memory();
    check_cuda(cudaMemcpyAsync(one, &value, sizeof value, cudaMemcpyHostToDevice, compute_));
    all_reduce_sum_async(one, 1, DType::f32);
    join();
    check_cuda(cudaMemcpyAsync(&value, one, sizeof value, cudaMemcpyDeviceToHost, compute_));
    check_cuda(cudaStreamSynchronize(compute_));
    if (value != static_cast<float>(size_)) {
      fail(
          "NCCL: the sum of 1 over {} ranks came out as {}: try NCCL_P2P_DISABLE=1, and have the machine's "
          "peer-to-peer set-up (IOMMU, ACS) checked",
          size_, value);
    }
  } catch (...) {
    abort();
    throw;
  }
}

NcclCommunicator::~NcclCommunicator() {
  if (std::uncaught_exceptions() > 0) abort();  // the other ranks may never finish what was begun
  const ncclComm_t comm = comm_.exchange(nullptr);
  if (comm == nullptr) return;  // aborted
  for (const Memory& memory : memory_) {
    if (memory.window != nullptr) nccl_->comm_window_deregister(comm, memory.window);
  }
  nccl_->comm_destroy(comm);
  for (const Memory& memory : memory_) free_memory(memory.address);
}

void* NcclCommunicator::allocate(std::size_t bytes) {
  void* address = nullptr;
  if (nccl_->has_windows()) {
    nccl_->check(nccl_->mem_alloc(&address, bytes));
  } else {
    address = allocate_device<std::byte>(bytes).release();
  }
  return memory_.emplace_back(Memory{address, bytes, nullptr}).address;
}

void NcclCommunicator::free_memory(void* address) const noexcept {
  if (nccl_->has_windows()) {
    nccl_->mem_free(address);
  } else {
    cudaFree(address);
  }
}

void NcclCommunicator::register_memory() {
  if (!nccl_->has_windows()) return;
  constexpr int symmetric = 1;  // NCCL_WIN_COLL_SYMMETRIC: at the same offset on every rank
  for (; registered_ < memory_.size(); ++registered_) {
    Memory& memory = memory_[registered_];
    const ncclComm_t comm = handle();
    nccl_->check(nccl_->comm_window_register(comm, memory.address, memory.bytes, &memory.window, symmetric),
                 comm);
  }
}

ncclComm_t NcclCommunicator::handle() const {
  const ncclComm_t comm = comm_.load();
  if (comm == nullptr) fail("NCCL: the communicator was aborted");
  return comm;
}

template <class Queue>
void NcclCommunicator::start(Queue queue) {
  check_cuda(cudaEventRecord(ready_.get(), compute_));
  check_cuda(cudaStreamWaitEvent(stream_.get(), ready_.get(), 0));
  const ncclComm_t comm = handle();
  nccl_->check(queue(comm, stream_.get()), comm);
  pending_ = true;
}

void NcclCommunicator::all_reduce_sum_async(void* values, std::int64_t count, DType type) {
  if (count == 0) return;
  start([&](ncclComm_t comm, cudaStream_t stream) {
    return nccl_->all_reduce(values, values, static_cast<std::size_t>(count), nccl_type(type), ncclSum, comm,
                             stream);
  });
}

void NcclCommunicator::exchange_slices_async(const void* from, void* to, std::int64_t count, DType type) {
  start([&](ncclComm_t comm, cudaStream_t stream) {
    const auto elements = static_cast<std::size_t>(count);
    nccl_->check(nccl_->group_start());
    for (int peer = 0; peer < size_; ++peer) {
      const std::int64_t at = peer * count * size_of(type);
      nccl_->check(nccl_->send(static_cast<const std::byte*>(from) + at, elements, nccl_type(type), peer,
                               comm, stream),
                   comm);
      nccl_->check(
          nccl_->recv(static_cast<std::byte*>(to) + at, elements, nccl_type(type), peer, comm, stream), comm);
    }
    return nccl_->group_end();
  });
}

void NcclCommunicator::gather_slices_async(void* values, std::int64_t count, DType type) {
  start([&](ncclComm_t comm, cudaStream_t stream) {
    const void* own = static_cast<std::byte*>(values) + rank_ * count * size_of(type);
    return nccl_->all_gather(own, values, static_cast<std::size_t>(count), nccl_type(type), comm, stream);
  });
}

void NcclCommunicator::join() {
  if (!pending_) return;
  check_cuda(cudaEventRecord(done_.get(), stream_.get()));
  check_cuda(cudaStreamWaitEvent(compute_, done_.get(), 0));
  pending_ = false;
}

void NcclCommunicator::abort() noexcept {
  if (const ncclComm_t comm = comm_.exchange(nullptr)) nccl_->comm_abort(comm);
}

void NcclCommunicator::check_health() const {
  const ncclComm_t comm = handle();
  ncclResult_t fault = ncclSuccess;
  nccl_->check(nccl_->comm_get_async_error(comm, &fault), comm);
  if (fault != ncclInProgress) nccl_->check(fault, comm);
}

}  // namespace convoy
