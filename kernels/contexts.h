// What a launcher needs besides its call: where the arenas are and the state of the step. The CUDA context,
// which needs CUDA's headers, is in cuda_context.h.
#pragma once

#include "core/step_state.h"
#include "core/tensor.h"
#include "core/thread_pool.h"

namespace convoy {

class CudaContext;

/// Shared by the host engines. Not owning: the engine that holds the arenas outlives it.
class HostContext {
 public:
  explicit HostContext(ThreadPool* threads) : threads_(threads) {}

  ArenaPointers arenas;
  StepState state;

  template <class T>
  T* data(const Tensor& tensor) const {
    return arenas.data<T>(tensor);
  }
  ThreadPool& threads() const { return *threads_; }

 private:
  ThreadPool* threads_;
};

/// One thread, plain loops, Real = float or double.
template <class T>
class ReferenceContext : public HostContext {
 public:
  using Real = T;
  using HostContext::HostContext;
};

/// Threads and vector kernels, float. The number of threads never changes results.
class CpuContext : public HostContext {
 public:
  using Real = float;
  using HostContext::HostContext;
};

/// Bytes of Arena::workspace that `Context`'s launcher needs for `call`. They depend on the call's shape
/// alone. A launcher that needs some declares a specialisation beside its call.
template <class Context, class Call>
std::int64_t workspace_bytes(const Call&) {
  return 0;
}

/// Declares the launchers of a call that every engine has. The launcher queues the work on the context, or
/// does it. Sizes of zero are valid; the call's comment says what they write.
#define CONVOY_LAUNCHERS(CallType)                          \
  template <class T>                                        \
  void launch(const ReferenceContext<T>&, const CallType&); \
  void launch(const CpuContext&, const CallType&);          \
  void launch(const CudaContext&, const CallType&)

}  // namespace convoy
