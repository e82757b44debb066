// cuDNN's best algorithm for convolutions, on random NHWC tensors; `convoy bench ops` starts it.
//
//   convoy_cudnn REQUESTS
//
// A line of the file REQUESTS is a JSON object: {"call": "conv.fprop"|"conv.dgrad"|"conv.wgrad", "type":
// "f32"|"f16"|"bf16", "tf32": whether f32 may be rounded to it, "n", "in": [d, h, w], "c", "k", "out": [o, p,
// q], "kernel", "stride", "pad", "dilation": [of d, of h, of w], "groups"}. Answers on stdout, a line each:
// {"seconds": s, "algorithm": text} or {"error": text}. Sums are fp32; of all configurations that cuDNN's
// heuristics name, the fastest counts, each timed as convoy times its own calls (core/cuda_stopwatch.h).
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/cudnn_convolution.h"
#include "core/cuda_stopwatch.h"
#include "core/random.h"

namespace convoy {
namespace {

using Json = nlohmann::json;

cudnnDataType_t data_type_of(const std::string& name) {
  if (name == "f32") return CUDNN_DATA_FLOAT;
  if (name == "f16") return CUDNN_DATA_HALF;
  if (name == "bf16") return CUDNN_DATA_BFLOAT16;
  fail("no type {} here", name);
}
std::size_t size_of_type(cudnnDataType_t type) {
  return type == CUDNN_DATA_FLOAT ? 4 : 2;
}

/// Device memory of a tensor of these extents, full of random values in [-1, 1).
DeviceMemory<std::byte> random_tensor(const Dims& extents, cudnnDataType_t type) {
  std::size_t count = 1;
  for (const std::int64_t extent : extents) count *= static_cast<std::size_t>(extent);
  const std::size_t size = size_of_type(type), length = std::min<std::size_t>(count, 1 << 20);
  std::vector<std::byte> pattern(length * size);
  for (std::size_t i = 0; i < length; ++i) {
    const float value = 2 * uniform01(random4(1, Purpose::initialize, 0, i).v[0]) - 1;
    const __half half = __float2half(value);
    const __nv_bfloat16 bfloat = __float2bfloat16(value);
    const void* from = &value;
    if (type == CUDNN_DATA_HALF) from = &half;
    if (type == CUDNN_DATA_BFLOAT16) from = &bfloat;
    std::copy_n(static_cast<const std::byte*>(from), size, pattern.data() + i * size);
  }
  auto memory = allocate_device<std::byte>(count * size);
  for (std::size_t first = 0; first < count; first += length) {
    check_cuda(cudaMemcpy(memory.get() + first * size, pattern.data(), std::min(length, count - first) * size,
                          cudaMemcpyHostToDevice));
  }
  return memory;
}

CudnnProblem problem_of(const Json& request) {
  return {request.at("call"),     data_type_of(request.at("type")),
          request.at("n"),        request.at("c"),
          request.at("k"),        request.at("in"),
          request.at("out"),      request.at("kernel"),
          request.at("stride"),   request.at("pad"),
          request.at("dilation"), request.at("groups")};
}

class Rival {
 public:
  Rival() {
    cudaStream_t stream = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    stream_.reset(stream);
    cudnnHandle_t handle = nullptr;
    check_cudnn(cudnnCreate(&handle));
    handle_.reset(handle);
    check_cudnn(cudnnSetStream(handle, stream));
    stopwatch_.emplace();
  }

  Json answer(const Json& request) {
    const CudnnProblem problem = problem_of(request);
    const auto x = random_tensor(problem.x(), problem.type), w = random_tensor(problem.w(), problem.type),
               y = random_tensor(problem.y(), problem.type);
    const CudnnConvolution convolution(handle_.get(), problem, {x.get(), w.get(), y.get()});
    double best = 0;
    std::string algorithm;
    for (const CudnnDescriptor& configuration : convolution.configurations(request.at("tf32"))) {
      const auto executable = convolution.executable(configuration);
      if (!executable || !time(convolution, *executable)) continue;  // the first run does not count
      // Three runs tell what is worth twenty.
      const double quick = median_time(convolution, *executable, 3);
      if (!algorithm.empty() && quick > 1.1 * best) continue;
      const double seconds = median_time(convolution, *executable, 20);
      if (algorithm.empty() || seconds < best) {
        best = seconds;
        algorithm = CudnnConvolution::name_of(configuration);
      }
    }
    if (algorithm.empty()) return {{"error", "cuDNN has no algorithm"}};
    return {{"seconds", best}, {"algorithm", algorithm}};
  }

 private:
  /// Seconds of one execution; none where it is refused.
  std::optional<double> time(const CudnnConvolution& convolution,
                             const CudnnConvolution::Executable& executable) {
    stopwatch_->start(stream_.get());
    const bool done = convolution.execute(executable);
    stopwatch_->stop(stream_.get());
    check_cuda(cudaStreamSynchronize(stream_.get()));
    return done ? std::optional(stopwatch_->seconds()) : std::nullopt;
  }
  double median_time(const CudnnConvolution& convolution, const CudnnConvolution::Executable& executable,
                     int repeats) {
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) seconds.push_back(time(convolution, executable).value());
    std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
    return seconds[static_cast<std::size_t>(repeats / 2)];
  }

  CudaStream stream_;
  CudnnHandle handle_;
  std::optional<CudaStopwatch> stopwatch_;
};

}  // namespace
}  // namespace convoy

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: convoy_cudnn REQUESTS\n");
    return 2;
  }
  try {
    std::ifstream requests(argv[1]);
    if (!requests) convoy::fail("cannot read {}", argv[1]);
    convoy::Rival rival;
    for (std::string line; std::getline(requests, line);) {
      nlohmann::json answer;
      try {
        answer = rival.answer(nlohmann::json::parse(line));
      } catch (const std::exception& error) {
        answer = {{"error", error.what()}};
      }
      std::cout << answer.dump() << std::endl;
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "convoy_cudnn: %s\n", error.what());
    return 1;
  }
}
