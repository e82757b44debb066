// Launches of kernels with dynamic shared memory.
#pragma once

#include "kernels/cuda_context.h"

namespace convoy {

/// Queues a kernel whose blocks have `shared_bytes` of dynamic shared memory. Raises the kernel's limit,
/// which is 48 KiB by default.
template <class... Parameters, class... Arguments>
void launch_with_shared(const CudaContext& context, void (*kernel)(Parameters...), dim3 blocks, int threads,
                        int shared_bytes, const Arguments&... arguments) {
  if (shared_bytes > 0)
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  kernel<<<blocks, static_cast<unsigned>(threads), static_cast<std::size_t>(shared_bytes), context.stream>>>(
      arguments...);
  check_launch();
}

}  // namespace convoy
