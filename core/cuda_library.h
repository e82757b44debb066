// Where CUDA's libraries may be that the program opens while it runs.
#pragma once

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <string>
#include <utility>

#include "core/shared_library.h"

namespace convoy {

/// Of the toolkit that this program was built with.
constexpr int cuda_major = CUDART_VERSION / 1000;
constexpr int cuda_minor = CUDART_VERSION % 1000 / 10;

/// `debian` and `python` are the packages that have the library.
inline LibrarySearch cuda_library(std::string name, const std::string& debian, const std::string& python) {
  return {{std::move(name)},
          {"/usr/local/cuda/lib64", fmt::format("/usr/local/cuda-{}/lib64", cuda_major)},
          fmt::format(
              "install it (apt-get install {}, or pip install {}), or name its folder in CONVOY_LIBRARY_PATH",
              debian, python)};
}

}  // namespace convoy
