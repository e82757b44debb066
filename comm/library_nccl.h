// NCCL's functions, opened when there are several GPUs.
#pragma once

#include <nccl.h>

#include <source_location>
#include <string>

#include "core/shared_library.h"

namespace convoy {

/// NCCL's handle of registered memory, whose name came with 2.27.
using NcclWindow = void*;

/// The library may be older or newer than the header that this program was built with: what only some have is
/// asked for by name.
struct NcclLibrary {
  /// Throws an error that says what to install if there is no library of the header's major version.
  NcclLibrary();

  SharedLibrary library;
  decltype(&ncclGetVersion) get_version = nullptr;
  decltype(&ncclGetErrorString) get_error_string = nullptr;
  decltype(&ncclGetLastError) get_last_error = nullptr;
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclCommInitRankConfig) comm_init_rank_config = nullptr;
  decltype(&ncclCommDestroy) comm_destroy = nullptr;
  decltype(&ncclCommAbort) comm_abort = nullptr;
  decltype(&ncclCommGetAsyncError) comm_get_async_error = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclAllGather) all_gather = nullptr;
  decltype(&ncclSend) send = nullptr;
  decltype(&ncclRecv) recv = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;

  /// Windows came with NCCL 2.27: memory at the same offset on every rank, which GPUs that reach each other
  /// sum directly. Where they do not (sockets, NCCL_P2P_DISABLE, NCCL_WIN_ENABLE=0) NCCL grants none and goes
  /// on as without. Null in older libraries, where registering gains sums in place nothing but NVLink's
  /// multicast.
  ncclResult_t (*mem_alloc)(void** address, std::size_t bytes) = nullptr;
  ncclResult_t (*mem_free)(void* address) = nullptr;
  ncclResult_t (*comm_window_register)(ncclComm_t, void* address, std::size_t bytes, NcclWindow*,
                                       int flags) = nullptr;
  ncclResult_t (*comm_window_deregister)(ncclComm_t, NcclWindow) = nullptr;
  bool has_windows() const { return comm_window_register != nullptr; }

  /// Throws with NCCL's text of the error, of `comm` where there is one.
  void check(ncclResult_t status, ncclComm_t comm = nullptr,
             std::source_location where = std::source_location::current()) const;
  /// "2.21.5".
  std::string version() const;
  /// "2.21.5, /usr/lib/x86_64-linux-gnu/libnccl.so.2".
  std::string describe() const;
};

}  // namespace convoy
