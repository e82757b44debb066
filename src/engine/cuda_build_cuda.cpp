#include <fmt/format.h>

#include "comm/library_nccl.h"
#include "core/cuda_library.h"
#include "kernels/cuda_blas.h"
#include "src/engine/cuda_build.h"

namespace convoy {
namespace {

template <class Library>
std::string description_of() {
  try {
    return Library().describe();
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

std::string cuda_build() {
  return fmt::format("{}.{}", cuda_major, cuda_minor);
}

std::vector<std::pair<std::string, std::string>> cuda_libraries() {
  return {{"NCCL", description_of<NcclLibrary>()}, {"cuBLAS", description_of<CublasLibrary>()}};
}

}  // namespace convoy
