// The CUDA engine: each plan becomes one CUDA graph, captured without executing at its first run and replayed
// from then on.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "comm/agree.h"
#include "comm/communicator_nccl.h"
#include "comm/wait.h"
#include "core/cuda_range.h"
#include "core/cuda_stopwatch.h"
#include "core/log.h"
#include "core/reason.h"
#include "kernels/cuda/tensor_cores.h"
#include "kernels/cuda_context.h"
#include "kernels/cuda_step_state.h"
#include "kernels/linear_narrow.h"
#include "src/engine/capture_cuda.h"
#include "src/engine/cuda_build.h"
#include "src/engine/device_cuda.h"
#include "src/engine/gpu_choices.h"
#include "src/engine/launch.h"
#include "src/engine/step_report.h"
#include "src/engine/tile_cache.h"
#include "src/engine/tile_tuning_cuda.h"
#include "src/engine/upload_cuda.h"
#include "src/plan/streams.h"

namespace convoy {
namespace {

constexpr std::int64_t reserved_bytes = std::int64_t{256} << 20;  // for graphs and modules loaded later
constexpr std::int64_t cublas_bytes = std::int64_t{128}
                                      << 20;  // workspaces of two streams, and as much for itself

class CudaEngine final : public Engine {
 public:
  /// Collective. Without NCCL where there is one rank.
  CudaEngine(RankDevice device, const RankEnvironment& ranks)
      : device_(std::move(device)), is_root_(ranks.rank() == 0), activity_(ranks.activity()) {
    shorten_naps();  // a step may take less time than Linux otherwise adds to a sleep
    if (ranks.size() > 1) nccl_ = std::make_unique<NcclCommunicator>(ranks, stream());
    const auto context_of = [&](const GpuStream& on) {
      CudaContext context(on.stream.get(), device_.state.get());
      context.tiles = &tiles_;
      return context;
    };
    context_ = context_of(device_.main);
    side_context_ = context_of(device_.side);
  }
  ~CudaEngine() override;
  CudaEngine(const CudaEngine&) = delete;
  CudaEngine& operator=(const CudaEngine&) = delete;

  std::string describe() const override { return describe_device(device_.number); }
  DeviceIdentity identity() const override {
    DeviceIdentity identity = identity_of_device(device_.number);
    if (nccl_) identity.versions += ", NCCL " + nccl_->library().version();
    return identity;
  }
  DType real() const override { return DType::f32; }
  bool computes_in(Precision precision) const override {
    return gpu_computes_in(precision, has_tensor_core_code());
  }
  bool has(const Call& call) const override { return has_launcher<CudaContext>(call); }
  int streams() const override { return 2; }
  std::int64_t workspace_bytes(const Call& call) const override {
    return std::visit([](const auto& c) { return convoy::workspace_bytes<CudaContext>(c); }, call);
  }
  std::int64_t free_bytes() const override;
  KernelChoice kernels_of(const Call& call) const override {
    make_current();
    return gpu_kernels_of(call, current_conv_device(), &tiles_);
  }
  void open_libraries(const Plan& plan) override;
  void allocate(const ArenaSizes& bytes) override;
  int load(const Plan& plan) override;
  void tune() override;
  void run(int plan, const StepState& state) override;
  std::vector<CallTime> run_timed(int plan, const StepState& state) override;
  StepReport await_report(std::int64_t step) override;
  double time(int plan, const StepState& state) override;
  void write(const Tensor& tensor, const void* host) override;
  std::uint8_t* staging_memory(std::size_t bytes) override;
  void upload(int slot, const Tensor& rows, const std::uint8_t* staged) override;
  void read(const Tensor& tensor, void* host) override;
  void synchronize() override;
  Communicator& communicator() override {
    if (nccl_) return *nccl_;
    return single_;
  }

 private:
  struct LoadedPlan {
    Plan plan;
    CudaGraphExec graph;  ///< null until the first run
  };
  cudaStream_t stream() const { return device_.main.stream.get(); }
  /// Events and memory are made on the current device, which another engine of this process may have changed.
  void make_current() const { check_cuda(cudaSetDevice(device_.number)); }
  /// Polls until `query` says that the device has finished. Checks NCCL, too: if a peer is gone, the device
  /// never finishes and only NCCL knows why. Meanwhile this rank counts as waiting for others, because the
  /// device may wait in a collective.
  template <class Query>
  void wait_until_done(const Query& query) const {
    std::optional<Activity::Waiting> waiting;
    if (nccl_ != nullptr) waiting.emplace(activity_);
    PatientWait wait;
    for (cudaError_t status; (status = query()) != cudaSuccess; wait.pause()) {
      if (status != cudaErrorNotReady) check_cuda(status);
      if (nccl_ != nullptr) nccl_->check_health();
    }
  }

  // Destroyed from the last to the first: graphs, then the communicator, then what both run on.
  RankDevice device_;
  bool is_root_;
  Activity& activity_;
  TileChoices tiles_;  ///< measured for the loaded plans; empty until tune()
  SingleCommunicator single_;
  std::unique_ptr<NcclCommunicator> nccl_;
  std::array<DeviceMemory<std::byte>, arena_count> arenas_;
  PinnedMemory<std::byte> reports_;  ///< Arena::reports
  ArenaSizes sizes_{};
  bool allocated_ = false, in_use_ = false;  ///< in use: a tensor was written or a plan was run
  CudaContext context_{nullptr, nullptr}, side_context_ = context_;
  std::vector<LoadedPlan> plans_;
  std::optional<CudaStopwatch> stopwatch_;  ///< made by the first time()
  std::vector<PinnedMemory<std::uint8_t>> staging_;
  std::optional<CudaUploader> uploader_;  ///< made by the first upload()
};

CudaEngine::~CudaEngine() {
  if (std::uncaught_exceptions() == 0) {
    cudaStreamSynchronize(stream());
    return;
  }
  // A collective of a graph may be waiting for a rank that failed, so nothing here may wait for it. The
  // graphs hold NCCL's memory; the end of the process frees them.
  for (LoadedPlan& loaded : plans_) static_cast<void>(loaded.graph.release());
  communicator().abort();
}

std::int64_t CudaEngine::free_bytes() const {
  std::size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total));
  const std::int64_t reserved = reserved_bytes + (context_.blas != nullptr ? 0 : cublas_bytes);
  return std::max<std::int64_t>(static_cast<std::int64_t>(free) - reserved, 0);
}

void CudaEngine::open_libraries(const Plan& plan) {
  const bool products = std::any_of(plan.steps.begin(), plan.steps.end(), [](const Step& step) {
    return std::visit([](const auto& call) { return needs_cublas(call); }, step.call);
  });
  if (!products || context_.blas != nullptr) return;
  make_current();
  const auto library = std::make_shared<const CublasLibrary>();
  side_context_.blas = &device_.side.blas.emplace(library, device_.side.stream.get());
  context_.blas = &device_.main.blas.emplace(library, device_.main.stream.get());
}

void CudaEngine::allocate(const ArenaSizes& bytes) {
  make_current();
  check(!allocated_, "arenas are allocated once");
  const std::int64_t wanted = std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
  if (const std::int64_t free = free_bytes(); wanted > free) {
    fail("the plan needs {} bytes of device memory, but only {} are free on {}", wanted, free, describe());
  }
  for (std::size_t i = 0; i < arena_count; ++i) {
    if (bytes[i] == 0) continue;
    const auto size = static_cast<std::size_t>(bytes[i]);
    if (static_cast<Arena>(i) == Arena::reports) {  // the host looks there while the device works
      reports_ = allocate_pinned<std::byte>(size);
      std::memset(reports_.get(), 0, size);
      context_.arenas.bind(Arena::reports, reports_.get(), bytes[i]);
      continue;
    }
    void* memory = nullptr;
    if (nccl_ && static_cast<Arena>(i) == Arena::gradients) {
      memory = nccl_->allocate(size);  // alike on every rank
    } else {
      arenas_[i] = allocate_device<std::byte>(size);
      memory = arenas_[i].get();
    }
    check_cuda(cudaMemsetAsync(memory, 0, size, stream()));
    context_.arenas.bind(static_cast<Arena>(i), memory, bytes[i]);
  }
  side_context_.arenas = context_.arenas;
  const auto side_workspace = static_cast<std::size_t>(Arena::side_workspace);
  side_context_.arenas.bind(Arena::workspace, arenas_[side_workspace].get(), bytes[side_workspace]);
  sizes_ = bytes;
  allocated_ = true;
}

int CudaEngine::load(const Plan& plan) {
  check(allocated_, "a plan is loaded after the arenas are allocated");
  open_libraries(plan);
  for (std::size_t i = 0; i < arena_count; ++i)
    check(plan.arenas[i] <= sizes_[i], "plan larger than the arenas");
  plans_.push_back({plan, nullptr});
  return static_cast<int>(plans_.size()) - 1;
}

void CudaEngine::tune() {
  make_current();
  check(!in_use_, "tiles are timed before anything is written");
  const auto begin = std::chrono::steady_clock::now();
  const TileCache cache(user_cache_folder(), tuning_identity(device_.number));
  tiles_ = cache.load();
  std::vector<const Plan*> plans;
  for (const LoadedPlan& loaded : plans_) plans.push_back(&loaded.plan);
  // All on one stream, so with the larger of the streams' workspaces.
  CudaContext context = context_;
  const auto side = static_cast<std::size_t>(Arena::side_workspace);
  if (sizes_[side] > sizes_[static_cast<std::size_t>(Arena::workspace)])
    context.arenas.bind(Arena::workspace, arenas_[side].get(), sizes_[side]);
  const int measured = measure_tiles(context, sizes_, plans, tiles_);
  if (measured == 0) return;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  if (is_root_) {
    log_info("timed the tiles of {} convolution products in {:.1f} s; train.autotune: false skips this",
             measured, seconds.count());
  }
  try {
    cache.save(tiles_);
  } catch (const std::exception& error) {
    if (is_root_)
      log_warn("cannot store the timings of tiles, so the next run measures them again: {}",
               reason_of(error));
  }
}

void CudaEngine::run(int plan, const StepState& state) {
  make_current();
  in_use_ = true;
  LoadedPlan& loaded = plans_.at(static_cast<std::size_t>(plan));
  const ProfilerRange range(loaded.plan.name.c_str());
  if (loaded.graph == nullptr) {
    if (nccl_) nccl_->register_memory();
    loaded.graph = capture_plan(loaded.plan, {context_, side_context_, communicator()});
  }
  if (uploader_) uploader_->begin_step(stream(), state.slot);
  store_step_state(stream(), device_.state.get(), state);
  check_cuda(cudaGraphLaunch(loaded.graph.get(), stream()));
  if (uploader_) uploader_->end_step(stream(), state.slot);
}

std::vector<CallTime> CudaEngine::run_timed(int plan, const StepState& state) {
  make_current();
  in_use_ = true;
  const Plan& loaded = plans_.at(static_cast<std::size_t>(plan)).plan;
  const ProfilerRange range(loaded.name.c_str());
  if (uploader_) uploader_->begin_step(stream(), state.slot);
  store_step_state(stream(), device_.state.get(), state);
  const TimedCalls calls = queue_timed(loaded, {context_, side_context_, communicator()});
  if (uploader_) uploader_->end_step(stream(), state.slot);
  synchronize();
  return times_of(calls);
}

StepReport CudaEngine::await_report(std::int64_t step) {
  double* report = report_of(context_.arenas.data<double>(all_reports), step);
  const auto is_written = [&] {
    return std::atomic_ref<double>(report[report_serial]).load(std::memory_order_acquire) == serial_of(step);
  };
  wait_until_done([&] {
    if (is_written()) return cudaSuccess;
    const cudaError_t status = cudaStreamQuery(stream());
    if (status != cudaSuccess) return status;
    check(is_written(), "a step that is done has reported");
    return cudaSuccess;
  });
  return read_report(report, step);
}

/// Calls are queued one by one: a graph's launch would count, too.
double CudaEngine::time(int plan, const StepState& state) {
  make_current();
  if (!stopwatch_) stopwatch_.emplace();
  store_step_state(stream(), device_.state.get(), state);
  stopwatch_->start(stream());
  for (const Step& step : plans_.at(static_cast<std::size_t>(plan)).plan.steps) {
    launch_call(std::as_const(context_), communicator(), step.call);
  }
  communicator().join();
  stopwatch_->stop(stream());
  synchronize();
  return stopwatch_->seconds();
}

void CudaEngine::write(const Tensor& tensor, const void* host) {
  in_use_ = true;
  if (tensor.count == 0) return;
  check_cuda(cudaMemcpyAsync(context_.arenas.raw(tensor), host, static_cast<std::size_t>(tensor.bytes()),
                             cudaMemcpyHostToDevice, stream()));
  synchronize();
}

std::uint8_t* CudaEngine::staging_memory(std::size_t bytes) {
  make_current();
  return staging_.emplace_back(allocate_pinned<std::uint8_t>(bytes)).get();
}

void CudaEngine::upload(int slot, const Tensor& rows, const std::uint8_t* staged) {
  in_use_ = true;
  check(!staging_.empty(), "uploads come from staging memory");
  make_current();
  if (!uploader_) uploader_.emplace();
  wait_until_done([&] { return uploader_->copied(slot); });
  uploader_->copy(slot, context_.arenas.raw(rows), staged, static_cast<std::size_t>(rows.bytes()));
}

void CudaEngine::read(const Tensor& tensor, void* host) {
  if (tensor.count == 0) return;
  synchronize();  // the copy to pageable memory waits inside CUDA, where it notices no collective's failure
  check_cuda(cudaMemcpyAsync(host, context_.arenas.raw(tensor), static_cast<std::size_t>(tensor.bytes()),
                             cudaMemcpyDeviceToHost, stream()));
  check_cuda(cudaStreamSynchronize(stream()));
}

void CudaEngine::synchronize() {
  if (uploader_) uploader_->join(stream());
  wait_until_done([&] { return cudaStreamQuery(stream()); });
}

}  // namespace

std::unique_ptr<Engine> make_cuda_engine(const RankEnvironment& ranks) {
  std::optional<RankDevice> device;
  agree(ranks, [&] { device.emplace(ranks); });
  return std::make_unique<CudaEngine>(std::move(*device), ranks);
}

}  // namespace convoy
