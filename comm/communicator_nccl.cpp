#include "comm/communicator_nccl.h"

#include <exception>
#include <source_location>

#include "comm/agree.h"
#include "src/core/cuda_event.h"

namespace convoy {
namespace {

void check_nccl(ncclResult_t status, ncclComm_t comm = nullptr,
                std::source_location where = std::source_location::current()) {
  if (status != ncclSuccess) {
    fail("NCCL: {}: {} ({}:{}); NCCL_DEBUG=INFO tells more", ncclGetErrorString(status),
         ncclGetLastError(comm), where.file_name(), where.line());
  }
}

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

// Windows came with NCCL 2.27: memory at the same offset on every rank, which GPUs that reach each other sum
// directly. Where they do not (sockets, NCCL_P2P_DISABLE, NCCL_WIN_ENABLE=0) NCCL grants none and goes on as
// without. Before 2.27 registering gains sums in place nothing but NVLink's multicast.
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
void* allocate_memory(std::size_t bytes) {
  void* address = nullptr;
  check_nccl(ncclMemAlloc(&address, bytes));
  return address;
}
void free_memory(void* address) {
  ncclMemFree(address);
}
ncclWindow_t register_window(ncclComm_t comm, void* address, std::size_t bytes) {
  ncclWindow_t window = nullptr;
  check_nccl(ncclCommWindowRegister(comm, address, bytes, &window, NCCL_WIN_COLL_SYMMETRIC), comm);
  return window;
}
void deregister_window(ncclComm_t comm, ncclWindow_t window) {
  ncclCommWindowDeregister(comm, window);
}
#else
void* allocate_memory(std::size_t bytes) {
  return allocate_device<std::byte>(bytes).release();
}
void free_memory(void* address) {
  cudaFree(address);
}
ncclWindow_t register_window(ncclComm_t, void*, std::size_t) {
  return nullptr;
}
void deregister_window(ncclComm_t, ncclWindow_t) {}
#endif

}  // namespace

std::string nccl_version() {
  int version = 0;
  check_nccl(ncclGetVersion(&version));
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

NcclCommunicator::NcclCommunicator(const RankEnvironment& ranks, cudaStream_t compute)
    : rank_(ranks.rank()), size_(ranks.size()), compute_(compute) {
  ncclUniqueId id{};
  void* one = nullptr;
  agree(ranks, [&] {
    stream_ = make_urgent_stream();
    ready_ = make_event();
    done_ = make_event();
    one = allocate(sizeof(float));
    if (ranks.is_root()) check_nccl(ncclGetUniqueId(&id));
  });
  ranks.broadcast(&id, sizeof id);
  // From here to the sum a rank that fails takes the others along through NCCL or the launcher, not by
  // agreement.
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 1;
  ncclComm_t comm = nullptr;
  check_nccl(ncclCommInitRankConfig(&comm, size_, id, rank_, &config));
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
    if (memory.window != nullptr) deregister_window(comm, memory.window);
  }
  ncclCommDestroy(comm);
  for (const Memory& memory : memory_) free_memory(memory.address);
}

void* NcclCommunicator::allocate(std::size_t bytes) {
  return memory_.emplace_back(Memory{allocate_memory(bytes), bytes, nullptr}).address;
}

void NcclCommunicator::register_memory() {
  for (; registered_ < memory_.size(); ++registered_) {
    Memory& memory = memory_[registered_];
    memory.window = register_window(handle(), memory.address, memory.bytes);
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
  check_nccl(queue(comm, stream_.get()), comm);
  pending_ = true;
}

void NcclCommunicator::all_reduce_sum_async(void* values, std::int64_t count, DType type) {
  if (count == 0) return;
  start([&](ncclComm_t comm, cudaStream_t stream) {
    return ncclAllReduce(values, values, static_cast<std::size_t>(count), nccl_type(type), ncclSum, comm,
                         stream);
  });
}

void NcclCommunicator::exchange_slices_async(const void* from, void* to, std::int64_t count, DType type) {
  start([&](ncclComm_t comm, cudaStream_t stream) {
    const auto elements = static_cast<std::size_t>(count);
    check_nccl(ncclGroupStart());
    for (int peer = 0; peer < size_; ++peer) {
      const std::int64_t at = peer * count * size_of(type);
      check_nccl(
          ncclSend(static_cast<const std::byte*>(from) + at, elements, nccl_type(type), peer, comm, stream),
          comm);
      check_nccl(ncclRecv(static_cast<std::byte*>(to) + at, elements, nccl_type(type), peer, comm, stream),
                 comm);
    }
    return ncclGroupEnd();
  });
}

void NcclCommunicator::gather_slices_async(void* values, std::int64_t count, DType type) {
  start([&](ncclComm_t comm, cudaStream_t stream) {
    const void* own = static_cast<std::byte*>(values) + rank_ * count * size_of(type);
    return ncclAllGather(own, values, static_cast<std::size_t>(count), nccl_type(type), comm, stream);
  });
}

void NcclCommunicator::join() {
  if (!pending_) return;
  check_cuda(cudaEventRecord(done_.get(), stream_.get()));
  check_cuda(cudaStreamWaitEvent(compute_, done_.get(), 0));
  pending_ = false;
}

void NcclCommunicator::abort() noexcept {
  if (const ncclComm_t comm = comm_.exchange(nullptr)) ncclCommAbort(comm);
}

void NcclCommunicator::check_health() const {
  const ncclComm_t comm = handle();
  ncclResult_t fault = ncclSuccess;
  check_nccl(ncclCommGetAsyncError(comm, &fault), comm);
  if (fault != ncclInProgress) check_nccl(fault, comm);
}

}  // namespace convoy
