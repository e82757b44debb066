// Times several ways to do the same work in turn, so that all of them see the same clocks.
#pragma once

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/cuda_event.h"

namespace convoy::probe {

/// How often a runner's work finds its data in the L2 cache, and what it finds the clocks at.
enum class State {
  hot,   ///< back to back on one set of tensors: the most power, the lowest clocks
  cold,  ///< back to back, another set each time
  mixed  ///< each after a copy that reads and writes 281 MB, whose own time is subtracted: as in a training
         ///< step
};

struct Runner {
  std::string name;
  std::function<void(int set)> launch;  ///< onto the race's stream
};

class Race {
 public:
  Race(cudaStream_t stream, int sets)
      : stream_(stream), sets_(sets), copied_(allocate_device<std::byte>(2 * copy_bytes)) {
    check_cuda(cudaMemsetAsync(copied_.get(), 1, 2 * copy_bytes, stream));
  }

  /// Median microseconds of each runner's launch, of `rounds` rounds of CUDA-graph replays.
  std::vector<double> run(const std::vector<Runner>& runners, State state, int rounds) const {
    std::vector<CudaGraphExec> graphs;
    for (const Runner& runner : runners) {
      graphs.push_back(captured([&](int i) {
        if (state == State::mixed) copy();
        runner.launch(state == State::hot ? 0 : i % sets_);
      }));
    }
    if (state == State::mixed) graphs.push_back(captured([&](int) { copy(); }));
    std::vector<std::vector<double>> times(graphs.size());
    std::vector<std::size_t> order(graphs.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::mt19937 shuffle(1);
    for (int round = -1; round < rounds; ++round) {  // the first warms up
      // In another order each round: each leaves its heat to the next, which matters by 5 %.
      std::shuffle(order.begin(), order.end(), shuffle);
      std::vector<double> of_round(graphs.size());
      for (const std::size_t i : order) of_round[i] = microseconds(graphs[i].get());
      for (std::size_t i = 0; i < graphs.size() && round >= 0; ++i)
        times[i].push_back(of_round[i] -
                           (state == State::mixed && i + 1 < graphs.size() ? of_round.back() : 0));
    }
    std::vector<double> medians;
    for (std::size_t i = 0; i < runners.size(); ++i) {
      std::sort(times[i].begin(), times[i].end());
      medians.push_back(times[i][times[i].size() / 2]);
    }
    return medians;
  }

 private:
  static constexpr std::size_t copy_bytes = std::size_t{134} << 20;  // read, and as much written
  static constexpr int launches = 20;                                // of a graph
  static constexpr double replayed_ms = 25;                          // at a time

  void copy() const {
    check_cuda(cudaMemcpyAsync(copied_.get(), copied_.get() + copy_bytes, copy_bytes,
                               cudaMemcpyDeviceToDevice, stream_));
  }
  CudaGraphExec captured(const std::function<void(int)>& launch) const {
    check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
    for (int i = 0; i < launches; ++i) launch(i);
    cudaGraph_t graph = nullptr;
    check_cuda(cudaStreamEndCapture(stream_, &graph));
    const CudaGraph owner(graph);
    cudaGraphExec_t executable = nullptr;
    check_cuda(cudaGraphInstantiate(&executable, graph, 0));
    return CudaGraphExec(executable);
  }
  double replay(cudaGraphExec_t graph, int times) const {
    check_cuda(cudaEventRecord(begin_.get(), stream_));
    for (int i = 0; i < times; ++i) check_cuda(cudaGraphLaunch(graph, stream_));
    check_cuda(cudaEventRecord(end_.get(), stream_));
    check_cuda(cudaEventSynchronize(end_.get()));
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, begin_.get(), end_.get()));
    return static_cast<double>(ms);
  }
  double microseconds(cudaGraphExec_t graph) const {
    const double once = replay(graph, 1);
    const int times = std::max(1, static_cast<int>(replayed_ms / once));
    return replay(graph, times) / times / launches * 1e3;
  }

  cudaStream_t stream_;
  int sets_;
  DeviceMemory<std::byte> copied_;
  CudaEvent begin_ = make_timed_event(), end_ = make_timed_event();
};

}  // namespace convoy::probe
