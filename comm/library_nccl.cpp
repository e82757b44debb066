#include "comm/library_nccl.h"

#include "core/cuda_library.h"
#include "core/error.h"

namespace convoy {
namespace {

LibrarySearch nccl_search() {
  return cuda_library("libnccl.so.2", "libnccl2", fmt::format("nvidia-nccl-cu{}", cuda_major));
}

}  // namespace

NcclLibrary::NcclLibrary() : library(open_library(nccl_search())) {
  library.get(get_version, "ncclGetVersion");
  library.get(get_error_string, "ncclGetErrorString");
  library.get(get_last_error, "ncclGetLastError");
  library.get(get_unique_id, "ncclGetUniqueId");
  library.get(comm_init_rank_config, "ncclCommInitRankConfig");
  library.get(comm_destroy, "ncclCommDestroy");
  library.get(comm_abort, "ncclCommAbort");
  library.get(comm_get_async_error, "ncclCommGetAsyncError");
  library.get(all_reduce, "ncclAllReduce");
  library.get(all_gather, "ncclAllGather");
  library.get(send, "ncclSend");
  library.get(recv, "ncclRecv");
  library.get(group_start, "ncclGroupStart");
  library.get(group_end, "ncclGroupEnd");
  library.find(comm_window_register, "ncclCommWindowRegister");
  if (has_windows()) {
    library.get(comm_window_deregister, "ncclCommWindowDeregister");
    library.get(mem_alloc, "ncclMemAlloc");
    library.get(mem_free, "ncclMemFree");
  }
  int number = 0;
  check(get_version(&number));
  if (number / 10000 != NCCL_MAJOR)
    fail("{} is NCCL {}, this program was built for NCCL {}: {}", library.path(), version(), NCCL_MAJOR,
         nccl_search().remedy);
}

void NcclLibrary::check(ncclResult_t status, ncclComm_t comm, std::source_location where) const {
  if (status != ncclSuccess) {
    fail("NCCL: {}: {} ({}:{}); NCCL_DEBUG=INFO tells more", get_error_string(status), get_last_error(comm),
         where.file_name(), where.line());
  }
}

std::string NcclLibrary::version() const {
  int number = 0;
  check(get_version(&number));
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

std::string NcclLibrary::describe() const {
  return fmt::format("{}, {}", version(), library.path());
}

}  // namespace convoy
