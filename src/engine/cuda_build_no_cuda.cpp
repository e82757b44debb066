#include "src/engine/cuda_build.h"

namespace convoy {

std::string cuda_build() {
  return {};
}
std::vector<std::pair<std::string, std::string>> cuda_libraries() {
  return {};
}

}  // namespace convoy
