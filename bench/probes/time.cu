// Times the probes' kernels beside cuDNN's best, in turn, fp16.
//
//   probe_time [ROUNDS]      9 if not given
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
  Timing(cudaStream_t stream, int rounds)
      : stream_(stream), rounds_(rounds), bar_(stream), race_(stream, sets) {}

  template <int Side, int Channels>
  void layer() {
    using L = Layer<T, Side, Channels>;
    const L layer(images, 0);
    std::vector<Tensors<T>> tensors(sets);
    // cuDNN's gradient of the filters has the tensors' type.
    const auto gradient = allocate_device<T>(L::filter_count);
    const auto pass = [&](const char* call, const std::vector<Runner>& ours) {
      std::vector<std::array<void*, 3>> memory;
      for (int i = 0; i < sets; ++i) {
        tensors[i] = layer.make_tensors(static_cast<unsigned>(i));
        T* w = std::string(call) == "conv.wgrad" ? gradient.get() : tensors[i].filters.get();
        memory.push_back({tensors[i].x.get(), w, tensors[i].y.get()});
      }
      check_cuda(cudaDeviceSynchronize());
      const Dims extent = {1, Side, Side};
      bar_.choose({call,
                   CUDNN_DATA_HALF,
                   images,
                   Channels,
                   Channels,
                   extent,
                   extent,
                   {1, 3, 3},
                   {1, 1, 1},
                   {0, 1, 1},
                   {1, 1, 1}},
                  memory);
      std::vector<Runner> runners{{"cuDNN " + bar_.name(), [&](int set) { bar_.run(set); }}};
      runners.insert(runners.end(), ours.begin(), ours.end());
      report(call, Channels, Side, layer.operations(), runners);
    };
    std::vector<Runner> fprop, dgrad;
    const auto add = [&](const std::string& name, Variant variant) {
      fprop.push_back({name, [&, variant](int set) {
                         layer.template convolve<Pass::fprop>(tensors[set], variant, stream_);
                       }});
      dgrad.push_back({name, [&, variant](int set) {
                         layer.template convolve<Pass::dgrad>(tensors[set], variant, stream_);
                       }});
    };
    if constexpr (Channels == 64) {
      add("resident", {1, false});
      add("resident, moments", {1, true});
    } else {
      add("streamed", {1, false});
      add("streamed, cluster of 2", {2, false});
      add("streamed, cluster of 2, moments", {2, true});
    }
    pass("conv.fprop", fprop);
    pass("conv.dgrad", dgrad);
    pass("conv.wgrad",
         {{"wgrad without the sum", [&](int set) { layer.wgrad(tensors[set], false, stream_); }},
          {"wgrad", [&](int set) { layer.wgrad(tensors[set], true, stream_); }}});
  }

 private:
  void report(const char* call, int channels, int side, double operations,
              const std::vector<Runner>& runners) {
    std::vector<std::vector<double>> times;
    for (const State state : {State::hot, State::cold, State::mixed})
      times.push_back(race_.run(runners, state, rounds_));
    for (std::size_t i = 0; i < runners.size(); ++i) {
      std::printf("%-10s %3d -> %3d, %2d  %-32s", call, channels, channels, side, runners[i].name.c_str());
      for (const auto& of_state : times)
        std::printf(" | %6.1f us %4.0f TF/s %4.2fx", of_state[i], operations / of_state[i] * 1e-6,
                    of_state[0] / of_state[i]);
      std::printf("\n");
    }
    std::fflush(stdout);
  }

  cudaStream_t stream_;
  int rounds_;
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
    convoy::probe::Timing timing(stream, argc > 1 ? std::atoi(argv[1]) : 9);
    std::printf("%-60s | %-22s | %-22s | %-22s\n", "512 images, fp16; x: times faster than cuDNN", "hot",
                "cold", "mixed");
    timing.layer<32, 64>();
    timing.layer<16, 128>();
    timing.layer<8, 256>();
  } catch (const std::exception& error) {
    std::printf("probe_time: %s\n", error.what());
    return 1;
  }
  return 0;
}
