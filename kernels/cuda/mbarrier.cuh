// Producers and consumers within a block (sm_90): barriers in shared memory that count arrivals phase by
// phase, and registers that warps of one role leave to the other's. Semantics: PTX ISA, "mbarrier",
// "setmaxnreg".
#pragma once

#include <cstdint>

#include "kernels/cuda/sm90a.cuh"

namespace convoy {

/// A ring of stages in shared memory: for each a barrier that says it is full, and one that says it is empty.
class StageRing {
 public:
  /// `barriers`: 16 bytes per stage, aligned to 8.
  __device__ __forceinline__ StageRing(std::uint32_t barriers, int stages)
      : barriers_(barriers), stages_(stages) {}

  /// By one thread, before a barrier of the block.
  __device__ __forceinline__ void init(int producers, int consumers) const {
    for (int i = 0; i < stages_; ++i) {
      CONVOY_SM90A("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barriers_ + 16 * i), "r"(producers)
                   : "memory");
      CONVOY_SM90A("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barriers_ + 16 * i + 8), "r"(consumers)
                   : "memory");
    }
  }
  // `lap`: how often the ring was gone round before.
  __device__ __forceinline__ void wait_full(int stage, int lap) const {
    wait(barriers_ + 16 * stage, lap & 1);
  }
  /// Of what the previous lap put there; returns at once in the first.
  __device__ __forceinline__ void wait_empty(int stage, int lap) const {
    wait(barriers_ + 16 * stage + 8, (lap & 1) ^ 1);
  }
  // Every thread arrives for itself: what it has read and written is then ordered without its warp's help.
  __device__ __forceinline__ void arrive_full(int stage) const { arrive(barriers_ + 16 * stage); }
  __device__ __forceinline__ void arrive_empty(int stage) const { arrive(barriers_ + 16 * stage + 8); }

 private:
  __device__ __forceinline__ static void wait(std::uint32_t barrier, int parity) {
    std::uint32_t done = 0;
    while (done == 0) {
      CONVOY_SM90A(
          "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
          : "=r"(done)
          : "r"(barrier), "r"(parity)
          : "memory");
    }
  }
  __device__ __forceinline__ static void arrive(std::uint32_t barrier) {
    CONVOY_SM90A("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
  }
  std::uint32_t barriers_;
  int stages_;
};

/// A place in a ring.
struct StageCursor {
  int stage = 0, lap = 0;
  __device__ __forceinline__ void advance(int stages) {
    if (++stage == stages) stage = 0, ++lap;
  }
};

/// This warpgroup goes on with fewer (more) registers per thread, a multiple of eight.
template <int Registers>
__device__ __forceinline__ void give_registers() {
  CONVOY_SM90A("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ __forceinline__ void take_registers() {
  CONVOY_SM90A("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

}  // namespace convoy
