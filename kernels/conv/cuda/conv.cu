// Launchers of convolutions: fprop, dgrad and wgrad for any kernel, stride, pad, dilation, depth and channel
// count, by the kernels that choose() picks (choice.h). README.md has the families.
#include <limits>

#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/choice.h"
#include "kernels/conv/cuda/depthwise/depthwise.h"
#include "kernels/conv/cuda/epilogue/statistics.h"
#include "kernels/conv/cuda/families.cuh"
#include "kernels/conv/cuda/grouped/grouped.h"
#include "kernels/conv/cuda/kernels.cuh"
#include "kernels/conv/cuda/stem/stem.h"
#include "kernels/cuda/tensor_cores.h"
#include "kernels/cuda_context.h"
#include "kernels/fused.h"
#include "kernels/split_sum.h"

namespace convoy {

bool has_tensor_core_code() {
  cudaFuncAttributes attributes;
  check_cuda(
      cudaFuncGetAttributes(&attributes, conv_fprop_kernel<MmaTile<mma::Tf32, 64, 64, 32, 32, 4>, 4, float>));
  return attributes.ptxVersion >= 80;
}

namespace {

int device_attribute(int device, cudaDeviceAttr which) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

/// Warpgroups are what sm_90a alone has.
bool has_warpgroups([[maybe_unused]] int device) {
#ifdef CONVOY_WARPGROUPS
  return device_attribute(device, cudaDevAttrComputeCapabilityMajor) == 9 &&
         device_attribute(device, cudaDevAttrComputeCapabilityMinor) == 0;
#else
  return false;
#endif
}

}  // namespace

ConvDevice current_conv_device() {
  int device = 0;
  check_cuda(cudaGetDevice(&device));
  return {{device_attribute(device, cudaDevAttrMultiProcessorCount),
           device_attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin)},
          has_tensor_core_code(),
          has_warpgroups(device)};
}

namespace {

/// Calls run(kernels) with those of a family that multiplies matrices and has no groups.
template <class Run>
void with_kernels(ConvFamily family, DType stored, Run run) {
  const auto of_16_bits = [&](auto f16, auto bf16) { stored == DType::f16 ? run(f16) : run(bf16); };
  switch (family) {
    case ConvFamily::scalar:
      return with_storage(stored, [&]<class T>(T) { run(ConvKernels<ScalarFamily<T>>{}); });
    case ConvFamily::ffma:
      return run(ConvKernels<FfmaFamily>{});
    case ConvFamily::tf32:
      return run(ConvKernels<Tf32Family>{});
    case ConvFamily::turing:
      return run(ConvKernels<TuringFamily>{});
    case ConvFamily::half:
      return of_16_bits(ConvKernels<HalfFamily<mma::F16>>{}, ConvKernels<HalfFamily<mma::Bf16>>{});
    case ConvFamily::hopper:
#ifdef CONVOY_WARPGROUPS
      return of_16_bits(ConvKernels<HopperFamily<mma::F16>>{}, ConvKernels<HopperFamily<mma::Bf16>>{});
#else
      break;
#endif
    default:
      break;
  }
  fail("internal error: no kernels of family {} here", name_of(family));
}

/// Rows, filters and single images are counted in int.
void check_extents(const ConvShape& shape) {
  constexpr std::int64_t most = std::numeric_limits<int>::max() / 2;
  check(shape.n * shape.in.pixels() <= most && shape.n * shape.out().pixels() <= most,
        "convolution of 2^30 pixels");
  check(shape.in.count() <= most && shape.out().count() <= most && shape.weights() <= most,
        "convolution with an image or weights of 2^30 elements");
}

/// Null where none is needed.
void* workspace_of(const CudaContext& context, const ConvProblem& problem, const ConvDevice& device) {
  const std::int64_t bytes = conv_workspace_bytes(problem, device);
  return bytes > 0 ? context.arenas.workspace<float>(bytes) : nullptr;
}

/// y = activation(x * w + bias). Returns whether the kernel also wrote the epilogue's moments.
bool fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue) {
  check_extents(call.shape);
  const ConvProblem problem = problem_of(call);
  if (problem.is_empty()) return false;
  const ConvDevice device = current_conv_device();
  const ConvChoice choice = choose(problem, device, context.tiles);
  if (choice.family == ConvFamily::stem_ffma) {
    stem_ffma_fprop(context, call, epilogue.activation);
    return false;
  }
  if (choice.family == ConvFamily::stem_halo) {
    stem_halo_fprop(context, call, epilogue.activation, device.gpu);
    return false;
  }
  if (choice.family == ConvFamily::depthwise) {
    depthwise_fprop(context, call, epilogue.activation);
    return false;
  }
  if (call.shape.groups != 1) {
    grouped_fprop(context, call, epilogue, choice, workspace_of(context, problem, device));
    return false;
  }
  bool taken = false;
  with_kernels(choice.family, problem.stored, [&](auto kernels) {
    kernels.fprop(context, call, epilogue, choice);
    taken = epilogue.moments != nullptr && kernels.takes_moments;
  });
  return taken;
}

std::int64_t workspace_bytes_of(const ConvProblem& problem) {
  return conv_workspace_bytes(problem, current_conv_device());
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const ConvForward& call) {
  return workspace_bytes_of(problem_of(call));
}
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvActivation& call) {
  return workspace_bytes_of(problem_of(call));
}
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvDgrad& call) {
  return workspace_bytes_of(problem_of(call));
}
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvWgrad& call) {
  return workspace_bytes_of(problem_of(call));
}

void launch(const CudaContext& context, const ConvForward& call) {
  fprop(context, call, {});
}
void launch(const CudaContext& context, const ConvActivation& call) {
  fprop(context, call.plain, {call.activation});
}
void launch(const CudaContext& context, const ConvStatistics& call) {
  float* moments = nullptr;
  if (takes_statistics(call.plain, call.norm))
    moments = context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  if (fprop(context, call.plain, {{}, moments})) return finish_statistics(context, call, moments);
  launch(context, call.statistics());
  if (call.mean) launch(context, call.moments());
}

void launch(const CudaContext& context, const ConvDgrad& call) {
  check_extents(call.shape);
  const ConvProblem problem = problem_of(call);
  if (problem.is_empty()) return;
  const ConvDevice device = current_conv_device();
  const ConvChoice choice = choose(problem, device, context.tiles);
  if (choice.family == ConvFamily::depthwise) return depthwise_dgrad(context, call);
  if (call.shape.groups != 1)
    return grouped_dgrad(context, call, choice, workspace_of(context, problem, device));
  with_kernels(choice.family, problem.stored, [&](auto kernels) { kernels.dgrad(context, call, choice); });
}

void launch(const CudaContext& context, const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  check_extents(s);
  const ConvProblem problem = problem_of(call);
  auto* dw = context.data<float>(call.dw);  // (K,T,R,S,C)
  if (problem.is_empty()) {
    check_cuda(cudaMemsetAsync(dw, 0, static_cast<std::size_t>(call.dw.bytes()), context.stream));
    return;
  }
  const ConvDevice device = current_conv_device();
  const ConvChoice choice = choose(problem, device, context.tiles);
  if (choice.family == ConvFamily::stem_ffma) return stem_ffma_wgrad(context, call);
  if (choice.family == ConvFamily::stem_halo) return stem_halo_wgrad(context, call);
  const int splits = choice.sum.splits;
  void* workspace = workspace_of(context, problem, device);
  if (s.groups != 1 && choice.family != ConvFamily::depthwise)
    return grouped_wgrad(context, call, choice, workspace);
  float* partials = splits == 1 ? dw : static_cast<float*>(workspace);
  if (choice.family == ConvFamily::depthwise) {
    depthwise_wgrad(context, call, choice.sum, partials);
  } else {
    with_kernels(choice.family, problem.stored,
                 [&](auto kernels) { kernels.wgrad(context, call, choice, partials); });
  }
  if (splits > 1) sum_splits(context, partials, dw, splits, s.weights());
}

}  // namespace convoy
