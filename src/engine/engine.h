// What executes plans: one thread of plain loops, threads, or CUDA. The trainer knows only this interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/rank_environment.h"
#include "core/step_state.h"
#include "src/engine/plan_target.h"

namespace convoy {

/// What tells a device from all others, where it sits, and what drives it. Empty for engines of host memory.
struct DeviceIdentity {
  std::string uuid;         ///< "GPU-00112233-4455-6677-8899-aabbccddeeff"
  std::string pci_address;  ///< "0000:1B:00.0"
  std::string versions;     ///< "CUDA 12.4, driver for CUDA 12.6, NCCL 2.21.5"; NCCL on several ranks
};

/// When a call of a plan ran, in seconds since the plan's begin, and on which lane (src/plan/lanes.h).
struct CallTime {
  double begin = 0, end = 0;
  int lane = 0;
};

enum class EngineKind { reference_f32, reference_f64, cpu, cuda };

/// Owns the arenas and the communicator. Work may be asynchronous; read() waits for what was queued.
class Engine : public PlanTarget {
 public:
  virtual DeviceIdentity identity() const { return {}; }
  /// Allocates every arena once, zero-filled; throws with the numbers when it does not fit.
  virtual void allocate(const ArenaSizes& bytes) = 0;
  /// Opens the libraries that running the plan needs. Throws a sentence that says what to install where one
  /// is missing. load() does it, too.
  virtual void open_libraries(const Plan&) {}
  /// Keeps a plan whose arenas fit what was allocated; returns its handle.
  virtual int load(const Plan& plan) = 0;
  /// Finds out what the loaded plans run fastest with, where that is known of neither this nor an earlier
  /// run; results never depend on it. Before the first write, since the arenas are used, and zero-filled
  /// again.
  virtual void tune() {}
  /// Queues one execution of a loaded plan.
  virtual void run(int plan, const StepState& state) = 0;
  /// The same, but waits and says when each call ran, in the plan's order; results keep every bit. Calls of a
  /// GPU are queued one by one, not as a graph: those that are shorter than their launch seem longer. A sum
  /// over ranks that runs beside other calls shows as what its Join waits for.
  virtual std::vector<CallTime> run_timed(int plan, const StepState& state) = 0;
  /// What the training step `step` (StepState), one of the last report_slots queued, has come to. Waits for
  /// it and not for what was queued after it; throws what went wrong meanwhile.
  virtual StepReport await_report(std::int64_t step) = 0;
  /// For benchmarks: executes a plan that has run before, waits, and returns the seconds the device spent on
  /// it. A GPU's cache holds none of its tensors at the start.
  virtual double time(int plan, const StepState& state) = 0;
  /// Copies host memory to a tensor, after the work queued so far; the host memory may be reused on return.
  virtual void write(const Tensor& tensor, const void* host) = 0;
  /// Host memory that stays the engine's and lasts as long: what upload() copies from. A GPU's is
  /// page-locked, so that copies run beside all else. Throws when there is none.
  virtual std::uint8_t* staging_memory(std::size_t bytes) = 0;
  /// Queues the copy of a batch from staging memory to `rows`, part of a slot of the staged batches: after
  /// the runs queued so far that read this slot (StepState::slot), beside those that read the other, before
  /// those to come. Returns when the slot's upload before is through, so that its staging memory may be
  /// rewritten.
  virtual void upload(int slot, const Tensor& rows, const std::uint8_t* staged) = 0;
  /// Copies a tensor to host memory after the work queued so far, and waits for it.
  virtual void read(const Tensor& tensor, void* host) = 0;
  /// Waits for the work queued so far; throws what went wrong in it.
  virtual void synchronize() = 0;
  virtual Communicator& communicator() = 0;
  /// Threads of the CPU that it computes with.
  virtual int threads() const { return 1; }
  /// From now on it computes with at most so many threads of the CPU, and never more than it has. Results
  /// keep every bit. Nothing where a GPU computes.
  virtual void limit_threads(int /*threads*/) {}
};

/// Throws (exit code 1) for CUDA without a usable device, for more local ranks than devices, or when the
/// binary was built without CUDA. Collective: every rank calls it.
std::unique_ptr<Engine> make_engine(EngineKind kind, const RankEnvironment& ranks);
/// Usable CUDA devices on this host; 0 when built without CUDA or without a driver.
int cuda_device_count();

}  // namespace convoy
