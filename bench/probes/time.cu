// Times the probes' kernels beside cuDNN's best, in turn, fp16.
//
//   probe_time [ROUNDS [relu]]      9 if not given; relu: half of x are zeros, as an activation leaves them
#include <cstdlib>

#include "bench/probes/cudnn_bar.h"
#include "bench/probes/layer.cuh"
#include "bench/probes/race.h"

namespace convoy::probe {
namespace {

using T = __half;
constexpr int sets = 4;  ///< together larger than the L2 cache
constexpr int images = 512;

class Timing {
 public:
  Timing(cudaStream_t stream, int rounds, bool relu)
      : stream_(stream), rounds_(rounds), relu_(relu), bar_(stream), race_(stream, sets) {}

  template <int Side, int Channels, int Filters = Channels, int Stride = 1>
  void layer() {
    using L = Layer<T, Side, Channels, Filters, Stride>;
    const L layer(images, 0);
    std::vector<Tensors<T>> tensors(sets);
    // cuDNN's gradient of the filters has the tensors' type.
    const auto gradient = allocate_device<T>(L::filter_count);
    const auto pass = [&](const char* call, const std::vector<Runner>& ours) {
      std::vector<std::array<void*, 3>> memory;
      for (int i = 0; i < sets; ++i) {
        tensors[i] = layer.make_tensors(static_cast<unsigned>(i), relu_);
        T* w = std::string(call) == "conv.wgrad" ? gradient.get() : tensors[i].filters.get();
        memory.push_back({tensors[i].x.get(), w, tensors[i].y.get()});
      }
      check_cuda(cudaDeviceSynchronize());
      bar_.choose({call,
                   CUDNN_DATA_HALF,
                   images,
                   Channels,
                   Filters,
                   {1, Side * Stride, Side * Stride},
                   {1, Side, Side},
                   {1, 3, 3},
                   {1, Stride, Stride},
                   {0, 1, 1},
                   {1, 1, 1}},
                  memory);
      std::vector<Runner> runners{{"cuDNN " + bar_.name(), [&](int set) { bar_.run(set); }}};
      runners.insert(runners.end(), ours.begin(), ours.end());
      char title[64];
      std::snprintf(title, sizeof title, "%s %3d -> %3d, %2d%s", call + 5, Channels, Filters, Side * Stride,
                    Stride == 2 ? " /2" : "");
      report(title, layer, runners);
    };
    std::vector<Runner> fprop, dgrad;
    const auto add = [&](const std::string& name, Variant variant) {
      fprop.push_back({name, [&, variant](int set) { layer.fprop(tensors[set], variant, stream_); }});
      if (!variant.moments && !variant.residual && !variant.normalise)
        dgrad.push_back({name, [&, variant](int set) { layer.dgrad(tensors[set], variant, stream_); }});
    };
    add(L::resident ? "resident" : "streamed", {});
    add(L::resident ? "resident, moments" : "streamed, moments", {.moments = true});
    if (L::resident) {
      add("resident, residual", {.residual = true});
      add("resident, normalise", {.normalise = true});
      add("  and moments", {.moments = true, .normalise = true});
    }
    pass("conv.fprop", fprop);
    if (L::has_dgrad) pass("conv.dgrad", dgrad);
    if constexpr (L::has_wgrad) {
      pass("conv.wgrad",
           {{"wgrad without the sum", [&](int set) { layer.wgrad(tensors[set], false, stream_); }},
            {"wgrad", [&](int set) { layer.wgrad(tensors[set], true, stream_); }}});
    }
  }

 private:
  template <class L>
  void report(const char* title, const L& layer, const std::vector<Runner>& runners) {
    std::vector<std::vector<double>> times;
    for (const State state : {State::hot, State::cold, State::mixed})
      times.push_back(race_.run(runners, state, rounds_));
    for (std::size_t i = 0; i < runners.size(); ++i) {
      std::printf("%-23s %-22s", title, runners[i].name.c_str());
      for (const auto& of_state : times)
        std::printf(" |%6.1f us%4.0f TF/s %4.2fx", of_state[i], layer.operations() / of_state[i] * 1e-6,
                    of_state[0] / of_state[i]);
      if (i > 0) report_loop(layer, runners[i]);
      std::printf("\n");
    }
    std::fflush(stdout);
  }
  /// The clock rate while hot, and the share of block 0's loop in which its tensor cores, 4096 operations a
  /// clock, would be busy with an even share of the work.
  template <class L>
  void report_loop(const L& layer, const Runner& runner) {
    for (int i = 0; i < 500; ++i) runner.launch(0);
    LoopTime time{};
    check_cuda(cudaMemcpyAsync(&time, layer.time(), sizeof time, cudaMemcpyDeviceToHost, stream_));
    check_cuda(cudaStreamSynchronize(stream_));
    std::printf(" | loop %5.1f us, %4.0f MHz, %3.0f %% busy", static_cast<double>(time.nanoseconds) * 1e-3,
                static_cast<double>(time.cycles) * 1e3 / static_cast<double>(time.nanoseconds),
                layer.operations() / layer.processors() / 4096 / static_cast<double>(time.cycles) * 100);
  }

  cudaStream_t stream_;
  int rounds_;
  bool relu_;
  CudnnBar bar_;
  Race race_;
};

}  // namespace
}  // namespace convoy::probe

int main(int argc, char** argv) {
  try {
    cudaStream_t stream = nullptr;
    convoy::check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const convoy::CudaStream owner(stream);
    const bool relu = argc > 2 && std::string(argv[2]) == "relu";
    convoy::probe::Timing timing(stream, argc > 1 ? std::atoi(argv[1]) : 9, relu);
    std::printf("512 images, fp16%s; x: times faster than cuDNN; hot | cold | mixed | alone and hot\n",
                relu ? ", x after ReLU" : "");
    timing.layer<32, 64>();
    timing.layer<16, 128>();
    timing.layer<8, 256>();
    timing.layer<16, 64, 128, 2>();
    timing.layer<8, 128, 256, 2>();
  } catch (const std::exception& error) {
    std::printf("probe_time: %s\n", error.what());
    return 1;
  }
  return 0;
}
