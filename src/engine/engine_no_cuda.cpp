// The CUDA half of the factory in a binary built without CUDA.
#include "comm/agree.h"
#include "src/engine/engine_factories.h"

namespace convoy {

std::unique_ptr<Engine> make_cuda_engine(const RankEnvironment&) {
  throw AgreedError(
      "this binary was built without CUDA: use device: cpu, or build with -DCONVOY_CUDA=ON (preset gpu)");
}

int cuda_device_count() {
  return 0;
}

}  // namespace convoy
