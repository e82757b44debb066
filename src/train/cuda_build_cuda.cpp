#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "comm/communicator_nccl.h"
#include "src/train/cuda_build.h"

namespace convoy {

std::string cuda_build() {
  return fmt::format("{}.{}, NCCL {}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, nccl_version());
}

}  // namespace convoy
