#include "kernels/conv/cuda/device.h"

#include <array>

namespace convoy {

std::span<const KnownGpu> known_gpus() {
  // Multiprocessors, and what a block may have of shared memory (CUDA C++ Programming Guide, compute
  // capabilities).
  static constexpr std::array<KnownGpu, 7> gpus = {{
      {"sm_75", "Tesla T4", {{40, 64 << 10}, false, false}},
      {"sm_80", "A100", {{108, 163 << 10}, true, false}},
      {"sm_86", "A10", {{72, 99 << 10}, true, false}},
      {"sm_89", "L4", {{58, 99 << 10}, true, false}},
      {"sm_90a", "H100 or H200", {{132, 227 << 10}, true, true}},
      {"sm_100", "B200", {{148, 227 << 10}, true, false}},
      {"sm_120", "GeForce RTX 5090", {{170, 99 << 10}, true, false}},
  }};
  return gpus;
}

}  // namespace convoy
