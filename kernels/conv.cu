// Convolution: fprop, dgrad and wgrad as implicit GEMM (conv_kernels.cuh), for any kernel, stride, pad,
// dilation, depth and channel count: in fp32 FFMA (implicit_gemm.cuh), or on tensor cores (mma_gemm.cuh)
// where TF32 is asked for, the device has it and channels come in fours. Images of up to four channels have
// their own fprop and wgrad (conv_first_layer.cu).
#include <limits>

#include "kernels/conv.h"
#include "kernels/conv_first_layer.h"
#include "kernels/conv_kernels.cuh"
#include "kernels/conv_plan.h"
#include "kernels/cuda_context.h"
#include "kernels/fused.h"
#include "kernels/mma_gemm.cuh"
#include "kernels/split_sum.h"
#include "kernels/tensor_cores.h"

namespace convoy {

bool has_tensor_core_code() {
  using T = MmaTile<mma::Tf32, 64, 64, 32, 32, 4>;
  cudaFuncAttributes attributes;
  check_cuda(cudaFuncGetAttributes(&attributes, conv_fprop_kernel<T, 4>));
  return attributes.ptxVersion >= 80;
}

namespace {

/// Calls visit(tile) with the kernel tile of conv_tiles[index]: blocks of M × N, K step, M × N per thread,
/// blocks per SM.
template <class Visit>
void with_ffma_tile(std::size_t index, Visit visit) {
  switch (index) {
    case 0:
      return visit(Tile<128, 128, 16, 8, 8, 2>{});
    case 1:
      return visit(Tile<128, 64, 8, 8, 8, 3>{});
    case 2:
      return visit(Tile<64, 64, 16, 8, 4, 4>{});
    case 3:
      return visit(Tile<128, 32, 16, 8, 4, 4>{});
    case 4:
      return visit(Tile<64, 32, 16, 4, 4, 6>{});
    default:
      fail("internal error: no such tile");
  }
}
/// The same of mma_tiles: blocks of M × N, M × N per warp, blocks per SM.
template <class Visit>
void with_mma_tile(std::size_t index, Visit visit) {
  using mma::Tf32;
  switch (index) {
    case 0:
      return visit(MmaTile<Tf32, 256, 128, 64, 64, 1>{});
    case 1:
      return visit(MmaTile<Tf32, 128, 128, 64, 32, 2>{});
    case 2:
      return visit(MmaTile<Tf32, 128, 64, 64, 32, 3>{});
    case 3:
      return visit(MmaTile<Tf32, 64, 128, 32, 64, 3>{});
    case 4:
      return visit(MmaTile<Tf32, 64, 64, 32, 32, 4>{});
    case 5:
      return visit(MmaTile<Tf32, 128, 32, 32, 32, 3>{});
    case 6:
      return visit(MmaTile<Tf32, 64, 32, 32, 32, 5>{});
    default:
      fail("internal error: no such tile");
  }
}
/// For channels that do not come in aligned fours, loaded one by one.
using ScalarTile = Tile<64, 64, 16, 8, 4, 4>;

template <class T>
unsigned grid(std::int64_t m, std::int64_t n) {
  const std::int64_t blocks = blocks_for(m, T::BM) * blocks_for(n, T::BN);
  check(blocks <= std::numeric_limits<int>::max(), "convolution of more blocks than a grid holds");
  return static_cast<unsigned>(blocks);
}

bool in_quads(const ConvShape& shape) {
  return shape.in.c % 4 == 0 && shape.k % 4 == 0;
}
bool aligned(std::initializer_list<const float*> operands) {
  return std::all_of(operands.begin(), operands.end(),
                     [](const float* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; });
}

int device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  check_cuda(cudaGetDevice(&device));
  check_cuda(cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}
Gpu current_gpu() {
  return {device_attribute(cudaDevAttrMultiProcessorCount),
          device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)};
}

bool may_use_tensor_cores(const ConvShape& s, Math math) {
  return math == Math::tf32 && in_quads(s) && std::max({s.t, s.r, s.s}) <= MaskedGather::most_taps &&
         has_tensor_core_code();
}

/// Calls run(tile, vector width) with the kernel's tile for out (m,n), summed over k in `splits` parts.
template <class Run>
void with_tile(const ConvShape& shape, Math math, std::initializer_list<const float*> operands,
               std::int64_t m, std::int64_t n, std::int64_t k, int splits, Run run) {
  const auto in_fours = [&](auto tile) { run(tile, std::integral_constant<int, 4>{}); };
  if (!in_quads(shape) || !aligned(operands)) return run(ScalarTile{}, std::integral_constant<int, 1>{});
  if (may_use_tensor_cores(shape, math))
    with_mma_tile(pick_tile(tf32_tensor_cores, m, n, k, splits, current_gpu()), in_fours);
  else
    with_ffma_tile(pick_tile(ffma_cores, m, n, k, splits, current_gpu()), in_fours);
}

template <class T, class... Parameters, class... Arguments>
void start(const CudaContext& context, T, void (*kernel)(Parameters...), dim3 blocks,
           const Arguments&... arguments) {
  if constexpr (T::dynamic_shared_bytes > 0) {
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, T::dynamic_shared_bytes));
  }
  kernel<<<blocks, T::threads, T::dynamic_shared_bytes, context.stream>>>(arguments...);
  check_launch();
}

/// Rows, filters and single images are counted in int.
void check_extents(const ConvShape& shape) {
  constexpr std::int64_t most = std::numeric_limits<int>::max() / 2;
  check(shape.n * shape.in.pixels() <= most && shape.n * shape.out().pixels() <= most,
        "convolution of 2^30 pixels");
  check(shape.in.count() <= most && shape.out().count() <= most && shape.weights() <= most,
        "convolution with an image or weights of 2^30 elements");
}

/// y = activation(x * w + bias).
void fprop(const CudaContext& context, const ConvForward& call, Rectifier activation) {
  const ConvShape& s = call.shape;
  check_extents(s);
  const std::int64_t pixels = s.n * s.out().pixels(), length = s.taps() * s.in.c;
  if (pixels * s.k == 0) return;
  if (first_layer_fprop(context, call, activation)) return;
  const Gather x = forward_gather(s, context.data<const float>(call.x));                    // (N,D,H,W,C)
  const FilterColumns w{context.data<const float>(call.w), s.k, static_cast<int>(length)};  // (K,T,R,S,C)
  const MatrixOutput y{context.data<float>(call.y), context.data<const float>(call.bias), x.rows, s.k,
                       activation};  // (N,O,P,Q,K)
  with_tile(s, call.math, {x.source, w.w, y.data}, pixels, s.k, length, 1,
            [&]<class T, int Vec>(T tile, std::integral_constant<int, Vec>) {
              start(context, tile, conv_fprop_kernel<T, Vec>, grid<T>(pixels, s.k), x, w, y);
            });
}

}  // namespace

void launch(const CudaContext& context, const ConvForward& call) {
  fprop(context, call, Rectifier{});
}
void launch(const CudaContext& context, const ConvRectified& call) {
  fprop(context, call.plain, call.activation);
}

void launch(const CudaContext& context, const ConvDgrad& call) {
  const ConvShape& s = call.shape;
  check_extents(s);
  if (s.n * s.in.count() == 0) return;
  DgradProblem problem;
  const auto* dy = context.data<const float>(call.dy);  // (N,O,P,Q,K)
  problem.w = context.data<const float>(call.w);        // (K,T,R,S,C)
  problem.dx = context.data<float>(call.dx);            // (N,D,H,W,C)
  problem.d = s.in.d, problem.h = s.in.h, problem.width = s.in.w, problem.c = s.in.c;
  problem.r = s.r, problem.s = s.s, problem.filter = static_cast<int>(s.taps() * s.in.c);
  const std::vector<DgradClass> classes = dgrad_classes(s, dy);
  for (std::size_t first = 0; first < classes.size(); first += max_dgrad_classes) {
    const std::size_t count = std::min<std::size_t>(max_dgrad_classes, classes.size() - first);
    std::int64_t rows = 0, most_rows = 0, columns = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Gather& gather = (problem.classes[i] = classes[first + i]).gather;
      rows += gather.rows;
      most_rows = std::max<std::int64_t>(most_rows, gather.rows);
      columns = std::max<std::int64_t>(columns, gather.columns);
    }
    with_tile(s, call.math, {dy, problem.w, problem.dx}, rows, s.in.c, columns, 1,
              [&]<class T, int Vec>(T tile, std::integral_constant<int, Vec>) {
                const dim3 blocks(grid<T>(most_rows, s.in.c), static_cast<unsigned>(count));
                start(context, tile, conv_dgrad_kernel<T, Vec>, blocks, problem);
              });
  }
}

namespace {

/// Follows from shape and cores alone, since it sets the order of a sum.
WgradPlan wgrad_plan(const ConvWgrad& call) {
  return plan_wgrad(call.shape, may_use_tensor_cores(call.shape, call.math) ? tf32_tensor_cores : ffma_cores);
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  const int splits = is_first_layer(s) ? first_layer_wgrad_splits(s) : wgrad_plan(call).splits;
  return splits == 1 ? 0 : splits * s.weights() * std::int64_t{sizeof(float)};
}

void launch(const CudaContext& context, const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  check_extents(s);
  const std::int64_t pixels = s.n * s.out().pixels(), columns = s.taps() * s.in.c;
  auto* dw = context.data<float>(call.dw);  // (K,T,R,S,C)
  if (pixels == 0) {
    check_cuda(cudaMemsetAsync(dw, 0, static_cast<std::size_t>(call.dw.bytes()), context.stream));
    return;
  }
  if (first_layer_wgrad(context, call)) return;
  const WgradPlan plan = wgrad_plan(call);
  float* partials =
      plan.splits == 1 ? dw : context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  const Gather x = forward_gather(s, context.data<const float>(call.x));                     // (N,D,H,W,C)
  const PixelColumns dy{context.data<const float>(call.dy), static_cast<int>(pixels), s.k};  // (N,O,P,Q,K)
  const MatrixOutput out{partials, nullptr, s.k, static_cast<int>(columns)};
  with_tile(s, call.math, {x.source, dy.dy, partials}, s.k, columns, pixels, plan.splits,
            [&]<class T, int Vec>(T tile, std::integral_constant<int, Vec>) {
              const dim3 blocks(grid<T>(s.k, columns), static_cast<unsigned>(plan.splits));
              start(context, tile, conv_wgrad_kernel<T, Vec>, blocks, dy, x, out, plan.chunk);
            });
  if (plan.splits > 1) sum_splits(context, partials, dw, plan.splits, s.weights());
}

}  // namespace convoy
