// Engines that compute in host memory: the sequential reference and threads of the CPU. make_engine() is
// here, too.
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "comm/mpi_communicator.h"
#include "core/ceil_div.h"
#include "core/thread_pool.h"
#include "kernels/gemm.h"
#include "src/engine/cuda_build.h"
#include "src/engine/gpu_choices.h"
#include "src/engine/launch.h"
#include "src/engine/step_report.h"

namespace convoy {
namespace {

/// Zeros that begin at a multiple of `alignment`. Large ones the system provides page by page when they are
/// first touched, by the core that does, and where it can in large pages.
class ZeroedMemory {
 public:
  static constexpr std::size_t alignment = 64;  // a cache line, and the widest vector

  ZeroedMemory() = default;
  explicit ZeroedMemory(std::size_t bytes) : memory_(std::calloc(bytes + alignment - 1, 1)) {
    if (!memory_) return;
    std::size_t space = bytes + alignment - 1;
    data_ = memory_.get();
    std::align(alignment, bytes, data_, space);
    constexpr std::size_t page = 4096;  // or larger: madvise() then fails, which does no harm
    const auto begin = reinterpret_cast<std::uintptr_t>(data_), first = ceil_div(begin, page) * page;
    if (bytes >= large_page)
      madvise(reinterpret_cast<void*>(first), (begin + bytes - first) / page * page, MADV_HUGEPAGE);
  }
  void* data() const { return data_; }  ///< null where there is none

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  static constexpr std::size_t large_page = 2 << 20;

  std::unique_ptr<void, Free> memory_;
  void* data_ = nullptr;
};

/// The number after `key` in a file of "key number ..." lines.
std::optional<std::int64_t> field_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string word, rest;
  for (std::int64_t value = 0; file >> word >> value; std::getline(file, rest)) {
    if (word == key) return value;
  }
  return std::nullopt;
}

/// What Linux can hand out without swapping, and no more than the control group still allows.
std::int64_t available_memory() {
  constexpr auto unlimited = std::numeric_limits<std::int64_t>::max();
  const auto free_kib = field_of("/proc/meminfo", "MemAvailable:");
  const std::int64_t available = free_kib ? *free_kib * 1024 : unlimited;
  std::int64_t limit = 0, used = 0;
  // Without a limit the first file says "max", which does not read as a number.
  if (!(std::ifstream("/sys/fs/cgroup/memory.max") >> limit)) return available;
  if (!(std::ifstream("/sys/fs/cgroup/memory.current") >> used)) return available;
  // Page cache counts as used, but the kernel frees it when needed.
  used -= field_of("/sys/fs/cgroup/memory.stat", "inactive_file").value_or(0);
  return std::min(available, std::max<std::int64_t>(limit - used, 0));
}

/// This rank's share of the cores it may run on: a core that several ranks may use counts for a fraction.
/// Counts over all hosts are divided by their number, which is exact when hosts are alike. OMP_NUM_THREADS
/// overrules it.
int fair_share_of_threads(const RankEnvironment& ranks) {
  cpu_set_t mine;
  std::array<double, CPU_SETSIZE> sharers{};
  const bool known = sched_getaffinity(0, sizeof mine, &mine) == 0;
  for (int cpu = 0; known && cpu < CPU_SETSIZE; ++cpu) sharers[cpu] = CPU_ISSET(cpu, &mine) ? 1.0 : 0.0;
  ranks.sum(sharers);
  if (!known || std::getenv("OMP_NUM_THREADS") != nullptr) return default_threads();
  const double hosts = static_cast<double>(ranks.size()) / ranks.local_size();
  double share = 0.0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mine)) share += hosts / std::max(sharers[cpu], hosts);
  }
  return std::max(1, static_cast<int>(share + 1e-6));
}

std::unique_ptr<Communicator> make_host_communicator(const RankEnvironment& ranks) {
  if (ranks.size() == 1) return std::make_unique<SingleCommunicator>();
  return std::make_unique<MpiCommunicator>(ranks);
}

template <class Context>
class HostEngine final : public Engine {
 public:
  explicit HostEngine(const RankEnvironment& ranks)
      : communicator_(make_host_communicator(ranks)),
        threads_(parallel ? fair_share_of_threads(ranks) : 1),
        context_(&threads_),
        local_size_(ranks.local_size()) {}

  std::string describe() const override {
    if constexpr (parallel) {
      const int threads = threads_.threads();
      return fmt::format("cpu, {} thread{}, {}", threads, threads == 1 ? "" : "s", gemm_kernel().name);
    } else {
      return fmt::format("sequential reference, {}", name_of(real()));
    }
  }
  DType real() const override { return dtype_of<typename Context::Real>(); }
  bool computes_in(Precision precision) const override {
    return precision == (real() == DType::f64 ? Precision::fp64 : Precision::fp32);
  }
  bool has(const Call& call) const override { return has_launcher<Context>(call); }
  std::int64_t workspace_bytes(const Call& call) const override {
    return std::visit([](const auto& c) { return convoy::workspace_bytes<Context>(c); }, call);
  }
  KernelChoice kernels_of(const Call& call) const override {
    const std::optional<ConvProblem> convolution = convolution_of(call);
    if (!convolution) return {};
    if constexpr (!parallel) return {"reference", ""};
    if (convolution->shape.is_depthwise()) return {"depthwise", ""};
    return {"slab", gemm_kernel().name};
  }
  int threads() const override { return threads_.threads(); }
  void limit_threads(int threads) override { threads_.limit(threads); }
  /// The ranks of one host share its memory evenly.
  std::int64_t free_bytes() const override { return available_memory() / local_size_; }

  void allocate(const ArenaSizes& bytes) override {
    check(!allocated_, "arenas are allocated once");
    const std::int64_t wanted = std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
    if (const std::int64_t free = free_bytes(); wanted > free) {
      fail("the plan needs {} bytes of memory, but only {} are free for this rank", wanted, free);
    }
    for (std::size_t i = 0; i < arena_count; ++i) {
      if (bytes[i] == 0) continue;
      const auto size = static_cast<std::size_t>(bytes[i]);
      arenas_[i] = ZeroedMemory(size);
      if (arenas_[i].data() == nullptr)
        fail("cannot allocate {} bytes for {}", bytes[i], name_of(static_cast<Arena>(i)));
      context_.arenas.bind(static_cast<Arena>(i), arenas_[i].data(), bytes[i]);
    }
    sizes_ = bytes;
    allocated_ = true;
  }

  int load(const Plan& plan) override {
    check(allocated_, "a plan is loaded after the arenas are allocated");
    for (std::size_t i = 0; i < arena_count; ++i)
      check(plan.arenas[i] <= sizes_[i], "plan larger than the arenas");
    plans_.push_back(plan);
    return static_cast<int>(plans_.size()) - 1;
  }

  void run(int plan, const StepState& state) override {
    context_.state = state;
    for (const Step& step : plans_.at(static_cast<std::size_t>(plan)).steps) {
      launch_call(std::as_const(context_), *communicator_, step.call);
    }
    communicator_->join();  // no sum outlives its plan's run: between runs other code may call MPI
  }

  std::vector<CallTime> run_timed(int plan, const StepState& state) override {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const auto now = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    context_.state = state;
    std::vector<CallTime> times;
    for (const Step& step : plans_.at(static_cast<std::size_t>(plan)).steps) {
      const double begin = now();
      launch_call(std::as_const(context_), *communicator_, step.call);
      times.push_back({begin, now()});
    }
    communicator_->join();
    return times;
  }

  StepReport await_report(std::int64_t step) override {
    return read_report(report_of(context_.arenas.template data<double>(all_reports), step), step);
  }

  double time(int plan, const StepState& state) override {
    const auto start = std::chrono::steady_clock::now();
    run(plan, state);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  void write(const Tensor& tensor, const void* host) override {
    if (tensor.count > 0)
      std::memcpy(context_.arenas.raw(tensor), host, static_cast<std::size_t>(tensor.bytes()));
  }
  std::uint8_t* staging_memory(std::size_t bytes) override { return staging_.emplace_back(bytes).data(); }
  void upload(int, const Tensor& rows, const std::uint8_t* staged) override { write(rows, staged); }
  void read(const Tensor& tensor, void* host) override {
    if (tensor.count > 0)
      std::memcpy(host, context_.arenas.raw(tensor), static_cast<std::size_t>(tensor.bytes()));
  }
  void synchronize() override {}
  Communicator& communicator() override { return *communicator_; }

 private:
  static constexpr bool parallel = std::is_same_v<Context, CpuContext>;

  std::array<ZeroedMemory, arena_count> arenas_;
  std::vector<std::vector<std::uint8_t>> staging_;
  ArenaSizes sizes_{};
  bool allocated_ = false;
  std::unique_ptr<Communicator> communicator_;  ///< destroyed before the arenas, in which it may be summing
  ThreadPool threads_;
  Context context_;
  std::vector<Plan> plans_;
  int local_size_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(EngineKind kind, const RankEnvironment& ranks) {
  switch (kind) {
    case EngineKind::reference_f32:
      return std::make_unique<HostEngine<ReferenceContext<float>>>(ranks);
    case EngineKind::reference_f64:
      return std::make_unique<HostEngine<ReferenceContext<double>>>(ranks);
    case EngineKind::cpu:
      return std::make_unique<HostEngine<CpuContext>>(ranks);
    case EngineKind::cuda:
      return make_cuda_engine(ranks);
  }
  fail("internal error: no such engine");
}

}  // namespace convoy
