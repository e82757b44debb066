// Convolution: fprop, dgrad and wgrad as implicit GEMM (kernels.cuh), for any kernel, stride, pad,
// dilation, depth and channel count. The call's shape, the type its tensors are stored in and the device
// choose a family of kernels (families.cuh). Images of up to four channels have their own fprop and
// wgrad (stem/stem.cu).
#include <limits>

#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/epilogue/statistics.h"
#include "kernels/conv/cuda/families.cuh"
#include "kernels/conv/cuda/kernels.cuh"
#include "kernels/conv/cuda/stem/stem.h"
#include "kernels/conv/cuda/tile_choice.h"
#include "kernels/conv/cuda/wgmma/layout.h"
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

/// Of the device in use.
int device_attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  check_cuda(cudaGetDevice(&device));
  check_cuda(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

}  // namespace

Gpu current_gpu() {
  return {device_attribute(cudaDevAttrMultiProcessorCount),
          device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)};
}

namespace {

enum class Product : std::uint8_t { fprop, dgrad, wgrad };

#ifdef CONVOY_WARPGROUPS
bool patches_suit(Product product, const ConvShape& shape) {
  switch (product) {
    case Product::fprop:
      return patches_suit_fprop(shape);
    case Product::dgrad:
      return patches_suit_dgrad(shape);
    case Product::wgrad:
      return patches_suit_wgrad(shape);
  }
  return false;
}

/// Warpgroups are what sm_90a alone has.
bool has_warpgroups() {
  return device_attribute(cudaDevAttrComputeCapabilityMajor) == 9 &&
         device_attribute(cudaDevAttrComputeCapabilityMinor) == 0;
}
#endif

/// Calls visit(family) for a 16-bit product in aligned eights of channels.
template <class Element, class Visit>
auto with_half_family([[maybe_unused]] Product product, [[maybe_unused]] const ConvShape& s, Visit visit) {
#ifdef CONVOY_WARPGROUPS
  if (has_warpgroups() && patches_suit(product, s)) return visit(HopperFamily<Element>{});
#endif
  return visit(HalfFamily<Element>{});
}

/// Calls visit(family) for the shape's channels.
template <class Visit>
auto with_family(Product product, const ConvShape& s, DType stored, Math math, Visit visit) {
  const auto channels_in = [&](int run) { return s.in.c % run == 0 && s.k % run == 0; };
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  const bool masks_fit = std::max({s.t, s.r, s.s}) <= most_masked_taps && s.n * s.in.count() <= most &&
                         s.n * s.out().count() <= most;
  switch (stored) {
    case DType::f32:
      if (!channels_in(4)) return visit(ScalarFamily<float>{});
      if (math == Math::tf32 && masks_fit && has_tensor_core_code()) return visit(Tf32Family{});
      return visit(FfmaFamily{});
    case DType::f16:
      if (!channels_in(8) || !masks_fit) return visit(ScalarFamily<Half>{});
      if (has_tensor_core_code()) return with_half_family<mma::F16>(product, s, visit);
      return visit(TuringFamily{});
    case DType::bf16:
      if (!channels_in(8) || !masks_fit || !has_tensor_core_code()) return visit(ScalarFamily<BFloat16>{});
      return with_half_family<mma::Bf16>(product, s, visit);
    default:
      fail("internal error: a convolution of {}", name_of(stored));
  }
}

/// Runs launch(kernels) with the kernels of the call's family, or with scalar ones where an operand is not
/// aligned.
template <class Launch>
void with_kernels(const CudaContext& context, Product product, const ConvShape& s, Math math,
                  std::initializer_list<Tensor> operands, Launch launch) {
  const bool aligned = std::all_of(operands.begin(), operands.end(), [&](const Tensor& tensor) {
    return reinterpret_cast<std::uintptr_t>(context.arenas.raw(tensor)) % 16 == 0;
  });
  with_family(product, s, operands.begin()->dtype, math, [&]<class Family>(Family) {
    if (aligned) return launch(ConvKernels<Family>{});
    launch(ConvKernels<ScalarFamily<typename Family::Stored>>{});
  });
}

/// The question that the kernels with_kernels picks will ask; key_of(kernels) is what they call it.
template <class KeyOf>
std::optional<TileQuestion> question_of(const CudaContext& context, Product product, const ConvShape& s,
                                        Math math, std::initializer_list<Tensor> operands, KeyOf key_of) {
  std::optional<TileQuestion> question;
  with_kernels(context, product, s, math, operands, [&]<class Family>(ConvKernels<Family> kernels) {
    if (Family::vec == 1) return;
    question = {key_of(kernels), product == Product::wgrad ? kernels.wgrad_tiles() : Family::cores.tiles};
  });
  return question;
}

/// Rows, filters and single images are counted in int.
void check_extents(const ConvShape& shape) {
  constexpr std::int64_t most = std::numeric_limits<int>::max() / 2;
  check(shape.n * shape.in.pixels() <= most && shape.n * shape.out().pixels() <= most,
        "convolution of 2^30 pixels");
  check(shape.in.count() <= most && shape.out().count() <= most && shape.weights() <= most,
        "convolution with an image or weights of 2^30 elements");
}

/// y = activation(x * w + bias). Whether the epilogue's moments, if it wants some, were taken.
bool fprop(const CudaContext& context, const ConvForward& call, const Epilogue& epilogue) {
  const ConvShape& s = call.shape;
  check_extents(s);
  if (s.n * s.out().count() == 0 || first_layer_fprop(context, call, epilogue.activation)) return false;
  bool taken = false;
  with_kernels(context, Product::fprop, s, call.math, {call.x, call.w, call.y}, [&](auto kernels) {
    kernels.fprop(context, call, epilogue);
    taken = epilogue.moments != nullptr && kernels.takes_moments;
  });
  return taken;
}

/// Follows from shape and family alone, since it sets the order of a sum.
WgradPlan wgrad_plan(const ConvWgrad& call) {
  return with_family(Product::wgrad, call.shape, call.x.dtype, call.math, [&]<class Family>(Family) {
    if constexpr (requires { Family::wgrad_cores; })
      return plan_patch_wgrad(call.shape);
    else
      return plan_wgrad(call.shape, Family::cores);
  });
}

}  // namespace

void launch(const CudaContext& context, const ConvForward& call) {
  fprop(context, call, {});
}
void launch(const CudaContext& context, const ConvRectified& call) {
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
  if (call.shape.n * call.shape.in.count() == 0) return;
  with_kernels(context, Product::dgrad, call.shape, call.math, {call.dy, call.w, call.dx},
               [&](auto kernels) { kernels.dgrad(context, call); });
}

template <>
std::int64_t workspace_bytes<CudaContext>(const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  const int splits = is_first_layer(s) ? first_layer_wgrad_splits(call) : wgrad_plan(call).splits;
  return splits == 1 ? 0 : splits * s.weights() * std::int64_t{sizeof(float)};
}

void launch(const CudaContext& context, const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  check_extents(s);
  auto* dw = context.data<float>(call.dw);  // (K,T,R,S,C)
  if (s.n * s.out().pixels() == 0) {
    check_cuda(cudaMemsetAsync(dw, 0, static_cast<std::size_t>(call.dw.bytes()), context.stream));
    return;
  }
  if (first_layer_wgrad(context, call)) return;
  const WgradPlan plan = wgrad_plan(call);
  float* partials =
      plan.splits == 1 ? dw : context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  with_kernels(context, Product::wgrad, s, call.math, {call.x, call.dy, call.dw},
               [&](auto kernels) { kernels.wgrad(context, call, plan, partials); });
  if (plan.splits > 1) sum_splits(context, partials, dw, plan.splits, s.weights());
}

std::optional<TileQuestion> tile_question(const CudaContext& context, const ConvForward& call) {
  const ConvShape& s = call.shape;
  if (s.n * s.out().count() == 0 || is_first_layer(s)) return std::nullopt;
  return question_of(context, Product::fprop, s, call.math, {call.x, call.w, call.y},
                     [&](auto kernels) { return kernels.fprop_key(s); });
}
std::optional<TileQuestion> tile_question(const CudaContext& context, const ConvRectified& call) {
  return tile_question(context, call.plain);
}
std::optional<TileQuestion> tile_question(const CudaContext& context, const ConvStatistics& call) {
  return tile_question(context, call.plain);
}
std::optional<TileQuestion> tile_question(const CudaContext& context, const ConvDgrad& call) {
  const ConvShape& s = call.shape;
  if (s.n * s.in.count() == 0) return std::nullopt;
  return question_of(context, Product::dgrad, s, call.math, {call.dy, call.w, call.dx},
                     [&](auto kernels) { return kernels.dgrad_key(s); });
}
std::optional<TileQuestion> tile_question(const CudaContext& context, const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  if (s.n * s.out().pixels() == 0 || is_first_layer(s)) return std::nullopt;
  return question_of(context, Product::wgrad, s, call.math, {call.x, call.dy, call.dw},
                     [&](auto kernels) { return kernels.wgrad_key(s, wgrad_plan(call).splits); });
}

}  // namespace convoy
