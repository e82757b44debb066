// A convolution by cuDNN's backend interface: its graph, the configurations that cuDNN proposes, and their
// execution.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "bench/cudnn_descriptor.h"
#include "core/cuda.h"

namespace convoy {

using Dims = std::vector<std::int64_t>;

struct CudnnDeleter {
  void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
};
using CudnnHandle = CudaHandle<cudnnHandle_t, CudnnDeleter>;

/// (N or K, C, spatial...) of a tensor whose channels lie innermost.
struct TensorInfo {
  Dims dims, strides;
  explicit TensorInfo(Dims of) : dims(std::move(of)), strides(dims.size()) {
    std::int64_t step = dims[1];
    for (std::size_t i = dims.size(); i-- > 2;) {
      strides[i] = step;
      step *= dims[i];
    }
    strides[1] = 1;
    strides[0] = step;
  }
};

inline CudnnDescriptor describe(const TensorInfo& info, cudnnDataType_t type, std::int64_t id) {
  CudnnDescriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  descriptor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, info.dims);
  descriptor.set(CUDNN_ATTR_TENSOR_STRIDES, info.strides);
  descriptor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
  descriptor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
  descriptor.finalize();
  return descriptor;
}

struct CudnnAttributeNames {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};
inline CudnnAttributeNames attributes_of(const std::string& call) {
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

/// What to compute: one of a convolution's three passes.
struct CudnnProblem {
  std::string call;  ///< conv.fprop, conv.dgrad or conv.wgrad
  cudnnDataType_t type;
  std::int64_t n, c, k;
  Dims in, out, kernel, stride, pad, dilation;  ///< of depth, height, width
  std::int64_t groups;

  Dims x() const { return with_axes({n, c}, in); }
  Dims w() const { return with_axes({k, c / groups}, kernel); }  // cuDNN tells the groups by it
  Dims y() const { return with_axes({n, k}, out); }
  /// `first` and those of the axes that this convolution has: two where there is no depth.
  Dims with_axes(Dims first, const Dims& axes) const {
    const std::size_t absent = in.at(0) == 1 && kernel.at(0) == 1 ? 1 : 0;
    first.insert(first.end(), axes.begin() + static_cast<std::ptrdiff_t>(absent), axes.end());
    return first;
  }
};

/// cuDNN's graph of one convolution, and the ways to execute it.
class CudnnConvolution {
 public:
  /// `memory`: x, w and y, or their gradients; not owned.
  CudnnConvolution(cudnnHandle_t handle, const CudnnProblem& problem, const std::array<void*, 3>& memory)
      : handle_(handle),
        type_(problem.type),
        graph_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR),
        memory_(memory) {
    const TensorInfo tensors[] = {TensorInfo(problem.x()), TensorInfo(problem.w()), TensorInfo(problem.y())};
    for (const TensorInfo& tensor : tensors) parts_.push_back(describe(tensor, type_, std::ssize(parts_)));
    CudnnDescriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
    convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::ssize(problem.x()) - 2);
    convolution.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, problem.with_axes({}, problem.dilation));
    convolution.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, problem.with_axes({}, problem.stride));
    convolution.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, problem.with_axes({}, problem.pad));
    convolution.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, problem.with_axes({}, problem.pad));
    convolution.finalize();

    const CudnnAttributeNames names = attributes_of(problem.call);
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
    made.pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::vector<void*>(memory_.begin(), memory_.end()));
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
  std::vector<CudnnDescriptor> parts_;  ///< what the graph refers to
  CudnnDescriptor graph_;
  std::array<void*, 3> memory_;
};

}  // namespace convoy
