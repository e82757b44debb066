// cuDNN's best algorithm for convolutions, on random NHWC tensors; `convoy bench ops` starts it.
//
//   convoy_cudnn REQUESTS
//
// A line of the file REQUESTS is a JSON object: {"call": "conv.fprop"|"conv.dgrad"|"conv.wgrad", "type":
// "f32"|"f16"|"bf16", "tf32": whether f32 may be rounded to it, "n", "in": [d, h, w], "c", "k", "out": [o, p,
// q], "kernel", "stride", "pad", "dilation": [of d, of h, of w]}. Answers on stdout, a line each: {"seconds":
// s, "algorithm": text} or {"error": text}. Sums are fp32; of all configurations that cuDNN's heuristics
// name, the fastest counts, each timed as convoy times its own calls (src/core/cuda_stopwatch.h).
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "bench/cudnn_descriptor.h"
#include "src/core/cuda_stopwatch.h"
#include "src/core/random.h"

namespace convoy {
namespace {

using Json = nlohmann::json;
using Dims = std::vector<std::int64_t>;

struct CudnnDeleter {
  void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
};
using CudnnHandle = CudaHandle<cudnnHandle_t, CudnnDeleter>;

cudnnDataType_t data_type_of(const std::string& name) {
  if (name == "f32") return CUDNN_DATA_FLOAT;
  if (name == "f16") return CUDNN_DATA_HALF;
  if (name == "bf16") return CUDNN_DATA_BFLOAT16;
  fail("no type {} here", name);
}
std::size_t size_of_type(cudnnDataType_t type) {
  return type == CUDNN_DATA_FLOAT ? 4 : 2;
}

/// Device memory full of random values in [-1, 1).
DeviceMemory<std::byte> random_values(std::size_t count, cudnnDataType_t type) {
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

/// (N or K, C, spatial...) of a tensor whose channels lie innermost.
struct TensorInfo {
  Dims dims, strides;
  std::size_t count = 1;
  explicit TensorInfo(Dims of) : dims(std::move(of)), strides(dims.size()) {
    std::int64_t step = dims[1];
    for (std::size_t i = dims.size(); i-- > 2;) {
      strides[i] = step;
      step *= dims[i];
    }
    strides[1] = 1;
    strides[0] = step;
    for (const std::int64_t extent : dims) count *= static_cast<std::size_t>(extent);
  }
};

CudnnDescriptor describe(const TensorInfo& info, cudnnDataType_t type, std::int64_t id) {
  CudnnDescriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  descriptor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, info.dims);
  descriptor.set(CUDNN_ATTR_TENSOR_STRIDES, info.strides);
  descriptor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
  descriptor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
  descriptor.finalize();
  return descriptor;
}

struct AttributeNames {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};
AttributeNames attributes_of(const std::string& call) {
  if (call == "conv.fprop") {
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  }
  if (call == "conv.dgrad") {
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
  }
  check(call == "conv.wgrad", "a convolution's call");
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

/// One requested convolution: tensors in memory and cuDNN's graph of the one operation.
class Convolution {
 public:
  Convolution(cudnnHandle_t handle, const Json& request)
      : handle_(handle),
        type_(data_type_of(request.at("type"))),
        spatial_(request.at("in").at(0) == 1 && request.at("kernel").at(0) == 1 ? 2 : 3),
        graph_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    const std::int64_t n = request.at("n"), c = request.at("c"), k = request.at("k");
    const TensorInfo tensors[] = {TensorInfo(with_axes({n, c}, request.at("in"))),
                                  TensorInfo(with_axes({k, c}, request.at("kernel"))),
                                  TensorInfo(with_axes({n, k}, request.at("out")))};
    for (const TensorInfo& tensor : tensors) parts_.push_back(describe(tensor, type_, std::ssize(parts_)));
    CudnnDescriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
    convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{spatial_});
    convolution.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, with_axes({}, request.at("dilation")));
    convolution.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, with_axes({}, request.at("stride")));
    convolution.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, with_axes({}, request.at("pad")));
    convolution.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, with_axes({}, request.at("pad")));
    convolution.finalize();

    const AttributeNames names = attributes_of(request.at("call"));
    CudnnDescriptor operation(names.operation);
    operation.set(names.x, parts_[0]);
    operation.set(names.w, parts_[1]);
    operation.set(names.y, parts_[2]);
    operation.set(names.convolution, convolution);
    operation.set(names.alpha, 1.0f);
    operation.set(names.beta, 0.0f);
    operation.finalize();
    graph_.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
    graph_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
    graph_.finalize();
    parts_.push_back(std::move(convolution));
    parts_.push_back(std::move(operation));
    for (const TensorInfo& tensor : tensors) memory_.push_back(random_values(tensor.count, type_));
  }

  /// Of every heuristic, best guess first. fp32 proper leaves out what rounds its operands.
  std::vector<CudnnDescriptor> configurations(bool tf32) const {
    std::vector<CudnnDescriptor> all;
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
      CudnnDescriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
      heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_);
      heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
      if (!heuristic.try_finalize()) continue;
      const std::int64_t count = heuristic.count(CUDNN_ATTR_ENGINEHEUR_RESULTS);
      for (CudnnDescriptor& one : heuristic.get_descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                            CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, count)) {
        if (keeps_precision(one, tf32)) all.push_back(std::move(one));
      }
    }
    return all;
  }

  /// A plan that can be executed, with its scratch; none where this device cannot.
  struct Executable {
    CudnnDescriptor plan{CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR};
    CudnnDescriptor pack{CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR};
    DeviceMemory<std::byte> workspace;
  };
  std::optional<Executable> executable(const CudnnDescriptor& configuration) const {
    Executable made;
    made.plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_);
    made.plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    if (!made.plan.try_finalize()) return std::nullopt;
    const std::int64_t bytes = made.plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1).at(0);
    std::size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total));
    if (bytes > static_cast<std::int64_t>(free / 2)) return std::nullopt;
    if (bytes > 0) made.workspace = allocate_device<std::byte>(static_cast<std::size_t>(bytes));
    made.pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, Dims{0, 1, 2});
    made.pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                  std::vector<void*>{memory_[0].get(), memory_[1].get(), memory_[2].get()});
    made.pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, static_cast<void*>(made.workspace.get()));
    made.pack.finalize();
    return made;
  }
  bool execute(const Executable& executable) const {
    return cudnnBackendExecute(handle_, executable.plan.handle(), executable.pack.handle()) ==
           CUDNN_STATUS_SUCCESS;
  }

  static std::string name_of(const CudnnDescriptor& configuration) {
    const CudnnDescriptor engine = engine_of(configuration);
    return fmt::format("engine {}", engine.get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1).at(0));
  }

 private:
  /// `first` and the axes of a request's (depth, height, width) that this convolution has.
  Dims with_axes(Dims first, const Json& axes) const {
    for (std::size_t i = 3 - static_cast<std::size_t>(spatial_); i < 3; ++i) first.push_back(axes.at(i));
    return first;
  }
  static CudnnDescriptor engine_of(const CudnnDescriptor& configuration) {
    auto engines =
        configuration.get_descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
    return std::move(engines.at(0));
  }
  bool keeps_precision(const CudnnDescriptor& configuration, bool tf32) const {
    const auto notes = engine_of(configuration)
                           .get<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                             CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
    const auto has = [&](cudnnBackendNumericalNote_t note) {
      return std::find(notes.begin(), notes.end(), note) != notes.end();
    };
    if (has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)) return false;
    if (type_ != CUDNN_DATA_FLOAT || tf32) return true;
    return !has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) && !has(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
  }

  cudnnHandle_t handle_;
  cudnnDataType_t type_;
  int spatial_;
  std::vector<CudnnDescriptor> parts_;  ///< what the graph refers to
  CudnnDescriptor graph_;
  std::vector<DeviceMemory<std::byte>> memory_;  ///< x, w, y or their gradients
};

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
    const Convolution convolution(handle_.get(), request);
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
        algorithm = Convolution::name_of(configuration);
      }
    }
    if (algorithm.empty()) return {{"error", "cuDNN has no algorithm"}};
    return {{"seconds", best}, {"algorithm", algorithm}};
  }

 private:
  /// Seconds of one execution; none where it is refused.
  std::optional<double> time(const Convolution& convolution, const Convolution::Executable& executable) {
    stopwatch_->start(stream_.get());
    const bool done = convolution.execute(executable);
    stopwatch_->stop(stream_.get());
    check_cuda(cudaStreamSynchronize(stream_.get()));
    return done ? std::optional(stopwatch_->seconds()) : std::nullopt;
  }
  double median_time(const Convolution& convolution, const Convolution::Executable& executable, int repeats) {
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
