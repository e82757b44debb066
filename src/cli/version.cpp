#include "src/cli/version.h"

#include <fmt/format.h>
#include <git_commit.h>  // made by cmake/git_commit.cmake

#include "kernels/gemm.h"
#include "src/engine/cuda_build.h"
#include "src/io/image.h"

namespace convoy {
namespace {

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

std::string version_text(const RankEnvironment& ranks) {
  const std::string cuda = cuda_build();
  std::string libraries;
  for (const auto& [name, description] : cuda_libraries())
    libraries += fmt::format("{:<9} {}\n", name, description);
  return fmt::format(
      "convoy {}\n"
      "commit    {}\n"
      "compiler  {}, {}\n"
      "MPI       {}\n"
      "CUDA      {}\n"
      "{}"
      "CPU       {} instructions for products here\n"
      "pictures  JPEG, PNG, BMP{}{}",
      CONVOY_VERSION, CONVOY_COMMIT, compiler(), CONVOY_BUILD_TYPE, ranks.describe_mpi(),
      cuda.empty() ? "none: built for CPUs alone"
                   : fmt::format("{}, machine code for {}", cuda, CONVOY_CUDA_ARCHITECTURES),
      libraries, gemm_kernel().name, reads_webp ? ", WebP" : "", reads_tiff ? ", TIFF" : "");
}

}  // namespace convoy
