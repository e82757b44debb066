#include "src/engine/gpu_choices.h"

#include <variant>

namespace convoy {

std::optional<ConvProblem> convolution_of(const Call& call) {
  return std::visit(
      []<class C>(const C& c) -> std::optional<ConvProblem> {
        if constexpr (requires { problem_of(c); })
          return problem_of(c);
        else
          return std::nullopt;
      },
      call);
}

bool gpu_computes_in(Precision precision, bool tensor_core_code) {
  const bool newer = precision == Precision::tf32 || precision == Precision::bf16;
  return precision != Precision::fp64 && (!newer || tensor_core_code);
}

KernelChoice gpu_kernels_of(const Call& call, const ConvDevice& device, const TileChoices* measured) {
  const std::optional<ConvProblem> problem = convolution_of(call);
  if (!problem || problem->is_empty()) return {};
  const ConvChoice choice = choose(*problem, device, measured);
  return {name_of(choice.family), describe_tiles(choice, problem->pass)};
}

}  // namespace convoy
