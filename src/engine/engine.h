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

/// Identifies a device: its unique id, its place on the bus and the versions of its software. Empty for
/// engines of host memory.
struct DeviceIdentity {
  std::string uuid;         ///< "GPU-00112233-4455-6677-8899-aabbccddeeff"
  std::string pci_address;  ///< "0000:1B:00.0"
  std::string versions;     ///< "CUDA 12.4, driver for CUDA 12.6, NCCL 2.21.5"; NCCL on several ranks
};

/// When a call of a plan ran, in seconds since the plan's begin, and on which stream (src/plan/streams.h).
struct CallTime {
  double begin = 0, end = 0;
  int stream = 0;
};

enum class EngineKind { reference_f32, reference_f64, cpu, cuda };

/// Owns the arenas and the communicator. Work may be asynchronous; read() waits for what was queued.
class Engine : public PlanTarget {
 public:
  virtual DeviceIdentity identity() const { return {}; }
  /// Allocates every arena once, zero-filled; throws with the numbers when it does not fit.
  virtual void allocate(const ArenaSizes& bytes) = 0;
  /// Opens the libraries that the plan needs. Throws an error that says what to install if one is missing.
  /// load() does this, too.
  virtual void open_libraries(const Plan&) {}
  /// Keeps a plan whose arenas fit what was allocated; returns its handle.
  virtual int load(const Plan& plan) = 0;
  /// Measures which tiles run the loaded plans fastest, unless this run or an earlier one has measured them.
  /// Results never depend on it. Call it before the first write: it uses the arenas and fills them with zeros
  /// again.
  virtual void tune() {}
  /// Queues one execution of a loaded plan.
  virtual void run(int plan, const StepState& state) = 0;
  /// The same, but waits and says when each call ran, in the plan's order; results keep every bit. A GPU's
  /// calls are queued one by one, not as a graph: a call that is shorter than its launch seems longer. For a
  /// sum over ranks that runs beside other calls, the time of its Join is what remains to wait.
  virtual std::vector<CallTime> run_timed(int plan, const StepState& state) = 0;
  /// The report of training step `step` (StepState), one of the last report_slots queued. Waits for this step
  /// and not for later ones. Throws the error of any queued work that failed.
  virtual StepReport await_report(std::int64_t step) = 0;
  /// For benchmarks: executes a plan that has run before, waits, and returns the seconds the device spent on
  /// it. A GPU's cache holds none of its tensors at the start.
  virtual double time(int plan, const StepState& state) = 0;
  /// Copies host memory to a tensor, after the work queued so far; the host memory may be reused on return.
  virtual void write(const Tensor& tensor, const void* host) = 0;
  /// Host memory that upload() copies from. The engine owns it and keeps it for its lifetime. For a GPU it is
  /// page-locked, so that copies run beside other work. Throws when there is none.
  virtual std::uint8_t* staging_memory(std::size_t bytes) = 0;
  /// Queues the copy of a batch from staging memory to `rows`, part of a slot of the staged batches: after
  /// the runs queued so far that read this slot (StepState::slot), beside those that read the other slot,
  /// before later runs. Returns when the previous upload to this slot has finished, so that its staging
  /// memory may be rewritten.
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
