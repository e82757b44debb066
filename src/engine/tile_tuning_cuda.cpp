#include "src/engine/tile_tuning_cuda.h"

#include <algorithm>
#include <limits>
#include <random>

#include "core/cuda_event.h"
#include "src/engine/capture_cuda.h"
#include "src/engine/gpu_choices.h"
#include "src/engine/launch.h"

namespace convoy {
namespace {

constexpr int rounds = 5;
constexpr float hopeless = 2;  ///< times the fastest tile of the first round: not timed again

/// `repeats` runs of a call as a graph, as they will be run: without the host's time per launch.
CudaGraphExec graph_of(const CudaContext& context, const Call& call, int repeats) {
  CudaGraphExec graph = capture(context.stream, [&] {
    for (int i = 0; i < repeats; ++i) launch_kernel(context, call);
  });
  check_cuda(cudaGraphUpload(graph.get(), context.stream));
  return graph;
}

struct Candidate {
  std::size_t tile;
  CudaGraphExec graph;
  CudaEvent begin, end;
  std::vector<float> times;  ///< of the rounds, in milliseconds

  float median() {
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }
};

/// Times all candidates once, in turn. The first graph is run before, so that the device is busy while the
/// host queues the others.
void time_round(cudaStream_t stream, std::vector<Candidate>& candidates) {
  check_cuda(cudaGraphLaunch(candidates.front().graph.get(), stream));
  for (const Candidate& candidate : candidates) {
    check_cuda(cudaEventRecord(candidate.begin.get(), stream));
    check_cuda(cudaGraphLaunch(candidate.graph.get(), stream));
    check_cuda(cudaEventRecord(candidate.end.get(), stream));
  }
  check_cuda(cudaStreamSynchronize(stream));
  for (Candidate& candidate : candidates) {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, candidate.begin.get(), candidate.end.get()));
    candidate.times.push_back(milliseconds);
  }
}

/// Rounds go over all tiles in turn, so that a clock that changes is the same for each.
std::size_t fastest_tile(const CudaContext& context, const Call& call, const TuningProblem& problem,
                         const Gpu& gpu) {
  CudaContext trial = context;
  TileChoices forced;
  trial.tiles = &forced;
  const double work = static_cast<double>(std::max<std::int64_t>(flops_of(call), 1));
  const int repeats = static_cast<int>(std::clamp(1e10 / work, 1.0, 8.0));
  std::vector<Candidate> candidates;
  for (std::size_t tile = 0; tile < problem.tiles.size(); ++tile) {
    if (!fits(problem.tiles[tile], gpu)) continue;
    forced.tiles[problem.key] = tile;
    launch_kernel(std::as_const(trial), call);  // loads the kernel
    candidates.push_back({tile, graph_of(trial, call, repeats), make_timed_event(), make_timed_event(), {}});
  }
  check(!candidates.empty(), "no tile fits the device");
  if (candidates.size() == 1) return candidates.front().tile;
  time_round(context.stream, candidates);
  float fastest = std::numeric_limits<float>::max();
  for (Candidate& candidate : candidates) fastest = std::min(fastest, candidate.median());
  std::erase_if(candidates, [&](Candidate& c) { return c.median() > hopeless * fastest; });
  for (int round = 1; round < rounds; ++round) time_round(context.stream, candidates);
  return std::min_element(candidates.begin(), candidates.end(),
                          [](Candidate& a, Candidate& b) { return a.median() < b.median(); })
      ->tile;
}

/// Random numbers: up to 2 as 16-bit values, small ones as 32-bit values. Products of zeros would draw less
/// power and might run at another clock.
void fill_with_noise(const CudaContext& context, const ArenaSizes& sizes) {
  constexpr std::size_t period = std::size_t{1} << 20;
  std::vector<std::uint16_t> noise(period);
  std::mt19937 random(1);
  for (std::uint16_t& value : noise) value = static_cast<std::uint16_t>((random() & 0x8fff) | 0x3000);
  for (std::size_t i = 0; i < arena_count; ++i) {
    if (sizes[i] == 0) continue;
    std::byte* memory = context.arenas.raw({static_cast<Arena>(i), DType::u8, 0, sizes[i]});
    const auto size = static_cast<std::size_t>(sizes[i]);
    std::size_t done = std::min(size, period * sizeof(std::uint16_t));
    check_cuda(cudaMemcpyAsync(memory, noise.data(), done, cudaMemcpyHostToDevice, context.stream));
    for (std::size_t more; done < size; done += more) {
      more = std::min(done, size - done);
      check_cuda(cudaMemcpyAsync(memory + done, memory, more, cudaMemcpyDeviceToDevice, context.stream));
    }
  }
  check_cuda(cudaStreamSynchronize(context.stream));  // before `noise` ends
}

void fill_with_zeros(const CudaContext& context, const ArenaSizes& sizes) {
  for (std::size_t i = 0; i < arena_count; ++i) {
    if (sizes[i] == 0) continue;
    std::byte* memory = context.arenas.raw({static_cast<Arena>(i), DType::u8, 0, sizes[i]});
    check_cuda(cudaMemsetAsync(memory, 0, static_cast<std::size_t>(sizes[i]), context.stream));
  }
}

}  // namespace

int measure_tiles(const CudaContext& context, const ArenaSizes& sizes, const std::vector<const Plan*>& plans,
                  TileChoices& choices) {
  const ConvDevice device = current_conv_device();
  int measured = 0;
  for (const Plan* plan : plans) {
    for (const Step& step : plan->steps) {
      const std::optional<ConvProblem> convolution = convolution_of(step.call);
      if (!convolution) continue;
      const std::optional<TuningProblem> problem = tuning_problem(*convolution, device);
      if (!problem || measured_tile(choices, problem->key, problem->tiles, device.gpu)) continue;
      if (measured++ == 0) fill_with_noise(context, sizes);
      choices.tiles[problem->key] = fastest_tile(context, step.call, *problem, device.gpu);
    }
  }
  if (measured > 0) fill_with_zeros(context, sizes);
  return measured;
}

std::string tuning_identity(int device) {
  cudaDeviceProp properties{};
  int driver = 0;
  check_cuda(cudaGetDeviceProperties(&properties, device));
  check_cuda(cudaDriverGetVersion(&driver));
  return fmt::format("{}, compute capability {}.{}, {} multiprocessors, driver {}, runtime {}, tiles {}",
                     properties.name, properties.major, properties.minor, properties.multiProcessorCount,
                     driver, CUDART_VERSION, tile_tables_id());
}

}  // namespace convoy
