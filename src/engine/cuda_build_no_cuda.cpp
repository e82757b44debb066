#include "comm/agree.h"
#include "src/engine/cuda_build.h"

namespace convoy {

std::string cuda_build() {
  return {};
}

std::vector<std::pair<std::string, std::string>> cuda_libraries() {
  return {};
}

int cuda_device_count() {
  return 0;
}

std::unique_ptr<Engine> make_cuda_engine(const RankEnvironment&) {
  throw AgreedError(
      "this binary was built without CUDA: use device: cpu, or build with -DCONVOY_CUDA=ON (preset gpu)");
}

}  // namespace convoy
