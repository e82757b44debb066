// The CUDA engine: each plan becomes one CUDA graph, captured without executing at its first run and replayed
// from then on.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "comm/agree.h"
#include "comm/communicator_nccl.h"
#include "kernels/cuda_context.h"
#include "kernels/cuda_step_state.h"
#include "kernels/tensor_cores.h"
#include "src/core/cuda_range.h"
#include "src/core/cuda_stopwatch.h"
#include "src/core/log.h"
#include "src/plan/lanes.h"
#include "src/train/capture_cuda.h"
#include "src/train/engine_factories.h"
#include "src/train/launch.h"
#include "src/train/step_report.h"
#include "src/train/tile_cache.h"
#include "src/train/tile_tuning_cuda.h"
#include "src/train/upload_cuda.h"

namespace convoy {
namespace {

constexpr std::size_t blas_workspace_bytes = std::size_t{32} << 20;  // what NVIDIA recommends for Hopper
constexpr std::int64_t reserved_bytes = std::int64_t{256} << 20;     // for graphs and modules loaded later

/// Before the first CUDA call. A kernel is loaded when first used, here under stream capture, which drivers
/// allow from CUDA 12.3 on; an older one loads everything at start, which takes seconds.
int count_devices(cudaError_t& status) {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver < 12030)
    setenv("CUDA_MODULE_LOADING", "EAGER", 1);
  int count = 0;
  status = cudaGetDeviceCount(&count);
  static_cast<void>(cudaGetLastError());  // not to be met again by an unrelated check
  return status == cudaSuccess ? count : 0;
}

std::string version_of(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

/// Throws unless this rank has a device that can run this binary; makes it current.
int select_device(const RankEnvironment& ranks) {
  cudaError_t status = cudaSuccess;
  const int count = count_devices(status);
  if (status == cudaErrorInsufficientDriver) {
    int driver = 0;
    check_cuda(cudaDriverGetVersion(&driver));
    if (driver == 0) fail("no NVIDIA driver on host {}", ranks.host());
    fail(
        "the NVIDIA driver on host {} supports CUDA {}, this binary was built with CUDA {}: update the "
        "driver, or "
        "build with an older toolkit (12.2 or newer)",
        ranks.host(), version_of(driver), version_of(CUDART_VERSION));
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    fail("no CUDA device on host {}", ranks.host());
  }
  check_cuda(status);
  if (ranks.local_size() > count) {
    fail(
        "{} ranks on host {} but it has {} CUDA device{} (one rank per device; CUDA_VISIBLE_DEVICES hides "
        "devices)",
        ranks.local_size(), ranks.host(), count, count == 1 ? "" : "s");
  }
  const int device = ranks.local_rank();
  check_cuda(cudaSetDevice(device));
  check_cuda(cudaFree(nullptr));  // makes the context now, where an exclusive or broken device shows itself

  status = probe_machine_code();
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction) {
    cudaDeviceProp properties{};
    check_cuda(cudaGetDeviceProperties(&properties, device));
    fail(
        "this binary has no machine code for {} (compute capability {}.{}): rebuild with "
        "-DCMAKE_CUDA_ARCHITECTURES={}{}-real",
        properties.name, properties.major, properties.minor, properties.major, properties.minor);
  }
  check_cuda(status);
  return device;
}

/// The main lane is what a step waits for, so it goes before the side lane; collectives go before both.
CudaStream make_stream(Lane lane) {
  int lowest = 0, highest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
  const int main = std::max(highest, lowest - 1);  // a higher priority is a lower number
  cudaStream_t stream = nullptr;
  check_cuda(
      cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, lane == Lane::main ? main : lowest));
  return CudaStream(stream);
}

/// fp32 as it says, TF32 nowhere; no atomics, so that results repeat. A first product on the way makes cuBLAS
/// set itself up outside of any capture.
CublasHandle make_blas(cudaStream_t stream, void* workspace) {
  cublasHandle_t handle = nullptr;
  check_cublas(cublasCreate(&handle));
  CublasHandle blas(handle);
  check_cublas(cublasSetStream(handle, stream));
  check_cublas(
      cublasSetWorkspace(handle, workspace, blas_workspace_bytes));  // after the stream, which resets it
  // Parts of a split sum stay in float until all are added, also where the result is stored in 16 bits.
  check_cublas(cublasSetMathMode(handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
  check_cublas(cublasSetAtomicsMode(handle, CUBLAS_ATOMICS_NOT_ALLOWED));
  constexpr int n = 16;
  const auto matrices = allocate_device<float>(std::size_t{3} * n * n);
  float* a = matrices.get();
  const float one = 1.0f, zero = 0.0f;
  check_cuda(cudaMemsetAsync(a, 0, std::size_t{3} * n * n * sizeof(float), stream));
  check_cublas(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a, n, a + n * n, n, &zero,
                           a + 2 * n * n, n));
  check_cuda(cudaStreamSynchronize(stream));
  return blas;
}

/// A stream with what its launchers need.
struct GpuLane {
  explicit GpuLane(Lane lane)
      : stream(make_stream(lane)),
        blas_workspace(allocate_device<std::byte>(blas_workspace_bytes)),
        blas(make_blas(stream.get(), blas_workspace.get())) {}

  CudaStream stream;
  DeviceMemory<std::byte> blas_workspace;
  CublasHandle blas;
};

/// What a rank makes without the others.
struct RankDevice {
  explicit RankDevice(const RankEnvironment& ranks)
      : number(select_device(ranks)),
        state(allocate_device<StepState>(1)),
        main(Lane::main),
        side(Lane::side) {}

  int number;
  DeviceMemory<StepState> state;
  GpuLane main, side;
};

class CudaEngine final : public Engine {
 public:
  /// Collective. Without NCCL where there is one rank.
  CudaEngine(RankDevice device, const RankEnvironment& ranks)
      : device_(std::move(device)), is_root_(ranks.rank() == 0), activity_(ranks.activity()) {
    if (ranks.size() > 1) nccl_ = std::make_unique<NcclCommunicator>(ranks, stream());
    Communicator* communicator = nccl_ ? static_cast<Communicator*>(nccl_.get()) : &single_;
    const auto context_of = [&](const GpuLane& lane) {
      CudaContext context(communicator, lane.stream.get(), lane.blas.get(), device_.state.get());
      context.tiles = &tiles_;
      return context;
    };
    context_ = context_of(device_.main);
    side_context_ = context_of(device_.side);
  }
  ~CudaEngine() override;
  CudaEngine(const CudaEngine&) = delete;
  CudaEngine& operator=(const CudaEngine&) = delete;

  std::string describe() const override;
  DeviceIdentity identity() const override;
  DType real() const override { return DType::f32; }
  bool computes_in(Precision precision) const override {
    const bool newer = precision == Precision::tf32 || precision == Precision::bf16;
    return precision != Precision::fp64 && (!newer || has_tensor_core_code());
  }
  bool has(const Call& call) const override { return has_launcher<CudaContext>(call); }
  int lanes() const override { return 2; }
  std::int64_t workspace_bytes(const Call& call) const override {
    return std::visit([](const auto& c) { return convoy::workspace_bytes<CudaContext>(c); }, call);
  }
  std::int64_t free_bytes() const override;
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
  Communicator& communicator() override { return context_.communicator(); }

 private:
  struct LoadedPlan {
    Plan plan;
    CudaGraphExec graph;  ///< null until the first run
  };
  cudaStream_t stream() const { return device_.main.stream.get(); }
  /// Events and memory are made on the current device, which another engine of this process may have changed.
  void make_current() const { check_cuda(cudaSetDevice(device_.number)); }
  /// Asks until `query` says that the device is through. Looks at NCCL, too: when a peer is gone, the device
  /// would never be and only NCCL knows why. Meanwhile this rank counts as one that waits for others: the
  /// device may, in a collective.
  template <class Query>
  void wait_until_done(const Query& query) const {
    std::optional<Activity::Waiting> waiting;
    if (nccl_ != nullptr) waiting.emplace(activity_);
    for (cudaError_t status; (status = query()) != cudaSuccess; std::this_thread::yield()) {
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
  CudaContext context_{nullptr, nullptr, nullptr, nullptr}, side_context_ = context_;
  std::vector<LoadedPlan> plans_;
  std::optional<CudaStopwatch> stopwatch_;  ///< made by the first time()
  std::vector<PinnedMemory<std::uint8_t>> staging_;
  std::optional<CudaUploader> uploader_;  ///< made by the first upload(): without any, steps wait for none
};

CudaEngine::~CudaEngine() {
  if (std::uncaught_exceptions() == 0) {
    cudaStreamSynchronize(stream());
    return;
  }
  // A collective of a graph may be waiting for a rank that failed: nothing here may wait for it. The graphs,
  // which NCCL's memory hangs on, are left to the end of the process.
  for (LoadedPlan& loaded : plans_) static_cast<void>(loaded.graph.release());
  communicator().abort();
}

std::string CudaEngine::describe() const {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device_.number));
  const double gib = static_cast<double>(properties.totalGlobalMem) / (1 << 30);
  return fmt::format("{}, {:.0f} GiB, compute capability {}.{}", properties.name, gib, properties.major,
                     properties.minor);
}

DeviceIdentity CudaEngine::identity() const {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device_.number));
  DeviceIdentity identity;
  identity.uuid = "GPU";
  for (std::size_t i = 0; i < sizeof properties.uuid.bytes; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) identity.uuid += '-';
    identity.uuid += fmt::format("{:02x}", static_cast<unsigned char>(properties.uuid.bytes[i]));
  }
  std::array<char, 32> address{};
  check_cuda(cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), device_.number));
  identity.pci_address = address.data();
  int runtime = 0, driver = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime));
  check_cuda(cudaDriverGetVersion(&driver));
  identity.versions = fmt::format("CUDA {}, driver for CUDA {}, NCCL {}", version_of(runtime),
                                  version_of(driver), nccl_version());
  return identity;
}

std::int64_t CudaEngine::free_bytes() const {
  std::size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total));
  return std::max<std::int64_t>(static_cast<std::int64_t>(free) - reserved_bytes, 0);
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
  // All on one stream, so with the larger of the lanes' workspaces.
  CudaContext context = context_;
  const auto side = static_cast<std::size_t>(Arena::side_workspace);
  if (sizes_[side] > sizes_[static_cast<std::size_t>(Arena::workspace)])
    context.arenas.bind(Arena::workspace, arenas_[side].get(), sizes_[side]);
  const int measured = measure_tiles(context, sizes_, plans, tiles_);
  if (measured == 0) return;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  if (is_root_) {
    log_info("timed the tiles of {} products of convolutions in {:.1f} s; train.autotune: false goes without",
             measured, seconds.count());
  }
  try {
    cache.save(tiles_);
  } catch (const std::exception& error) {
    if (is_root_) log_warn("the timings of tiles are not remembered: {}", error.what());
  }
}

void CudaEngine::run(int plan, const StepState& state) {
  make_current();
  in_use_ = true;
  LoadedPlan& loaded = plans_.at(static_cast<std::size_t>(plan));
  const ProfilerRange range(loaded.plan.name.c_str());
  if (loaded.graph == nullptr) {
    if (nccl_) nccl_->register_memory();
    loaded.graph = capture_plan(loaded.plan, context_, side_context_);
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
  const TimedCalls calls = queue_timed(loaded, context_, side_context_);
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
    launch_call(std::as_const(context_), step.call);
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
  synchronize();  // first: a copy to pageable memory waits inside CUDA, deaf to a collective's failure
  check_cuda(cudaMemcpyAsync(host, context_.arenas.raw(tensor), static_cast<std::size_t>(tensor.bytes()),
                             cudaMemcpyDeviceToHost, stream()));
  check_cuda(cudaStreamSynchronize(stream()));
}

void CudaEngine::synchronize() {
  if (uploader_) uploader_->join(stream());
  if (nccl_ == nullptr) return check_cuda(cudaStreamSynchronize(stream()));
  wait_until_done([&] { return cudaStreamQuery(stream()); });
}

}  // namespace

std::unique_ptr<Engine> make_cuda_engine(const RankEnvironment& ranks) {
  std::optional<RankDevice> device;
  agree(ranks, [&] { device.emplace(ranks); });
  return std::make_unique<CudaEngine>(std::move(*device), ranks);
}

int cuda_device_count() {
  cudaError_t status = cudaSuccess;
  return count_devices(status);
}

}  // namespace convoy
