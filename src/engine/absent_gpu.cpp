#include "src/engine/absent_gpu.h"

#include <limits>

#include "src/engine/gpu_choices.h"
#include "src/engine/launch.h"

namespace convoy {

std::string AbsentGpu::describe() const {
  return fmt::format("as on {} ({}, {} multiprocessors)", gpu_.architecture, gpu_.name,
                     gpu_.device.gpu.multiprocessors);
}

bool AbsentGpu::computes_in(Precision precision) const {
  return gpu_computes_in(precision, gpu_.device.tensor_core_code);
}

bool AbsentGpu::has(const Call& call) const {
  return has_launcher<CudaContext>(call);
}

std::int64_t AbsentGpu::workspace_bytes(const Call& call) const {
  const std::optional<ConvProblem> problem = convolution_of(call);
  return problem ? conv_workspace_bytes(*problem, gpu_.device) : 0;
}

std::int64_t AbsentGpu::free_bytes() const {
  return std::numeric_limits<std::int64_t>::max();
}

KernelChoice AbsentGpu::kernels_of(const Call& call) const {
  return gpu_kernels_of(call, gpu_.device, nullptr);
}

}  // namespace convoy
