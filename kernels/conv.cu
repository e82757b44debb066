// Convolution: fprop, dgrad and wgrad as implicit GEMM in fp32 FFMA, for any kernel, stride, pad, dilation,
// depth and channel count (conv_kernels.cuh). Images of up to four channels have their own fprop and wgrad
// (conv_first_layer.cu).
#include <limits>

#include "kernels/conv.h"
#include "kernels/conv_first_layer.h"
#include "kernels/conv_kernels.cuh"
#include "kernels/conv_plan.h"
#include "kernels/cuda_context.h"
#include "kernels/fused.h"
#include "kernels/split_sum.h"

namespace convoy {
namespace {

/// Calls visit(tile) with the kernel tile of conv_tiles[index]: blocks of M × N, K step, M × N per thread,
/// blocks per SM.
template <class Visit>
void with_tile(int index, Visit visit) {
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
/// For channels that do not come in aligned fours, loaded one by one.
using ScalarTile = Tile<64, 64, 16, 8, 4, 4>;

template <class T>
unsigned grid(std::int64_t m, std::int64_t n) {
  const std::int64_t blocks = blocks_for(m, T::BM) * blocks_for(n, T::BN);
  check(blocks <= std::numeric_limits<int>::max(), "convolution of more blocks than a grid holds");
  return static_cast<unsigned>(blocks);
}

bool in_quads(const ConvShape& shape, std::initializer_list<const float*> operands) {
  return shape.in.c % 4 == 0 && shape.k % 4 == 0 &&
         std::all_of(operands.begin(), operands.end(),
                     [](const float* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; });
}

/// Rows, filters and single images are counted in int.
void check_extents(const ConvShape& shape) {
  constexpr std::int64_t most = std::numeric_limits<int>::max() / 2;
  check(shape.n * shape.in.pixels() <= most && shape.n * shape.out().pixels() <= most,
        "convolution of 2^30 pixels");
  check(shape.in.count() <= most && shape.out().count() <= most && shape.weights() <= most,
        "convolution with an image or weights of 2^30 elements");
}

int multiprocessors() {
  int device = 0, count = 0;
  check_cuda(cudaGetDevice(&device));
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
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
  const auto run = [&]<class T, int Vec>(T, std::integral_constant<int, Vec>) {
    conv_fprop_kernel<T, Vec><<<grid<T>(pixels, s.k), T::threads, 0, context.stream>>>(x, w, y);
    check_launch();
  };
  if (in_quads(s, {x.source, w.w, y.data})) {
    with_tile(pick_tile(pixels, s.k, length, 1, multiprocessors()),
              [&](auto tile) { run(tile, std::integral_constant<int, 4>{}); });
  } else {
    run(ScalarTile{}, std::integral_constant<int, 1>{});
  }
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
    const auto run = [&]<class T, int Vec>(T, std::integral_constant<int, Vec>) {
      const dim3 blocks(grid<T>(most_rows, s.in.c), static_cast<unsigned>(count));
      conv_dgrad_kernel<T, Vec><<<blocks, T::threads, 0, context.stream>>>(problem);
      check_launch();
    };
    if (in_quads(s, {dy, problem.w, problem.dx})) {
      with_tile(pick_tile(rows, s.in.c, columns, 1, multiprocessors()),
                [&](auto tile) { run(tile, std::integral_constant<int, 4>{}); });
    } else {
      run(ScalarTile{}, std::integral_constant<int, 1>{});
    }
  }
}

template <>
std::int64_t workspace_bytes<CudaContext>(const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  const int splits = is_first_layer(s) ? first_layer_wgrad_splits(s) : plan_wgrad(s).splits;
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
  const WgradPlan plan = plan_wgrad(s);
  float* partials =
      plan.splits == 1 ? dw : context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  const Gather x = forward_gather(s, context.data<const float>(call.x));                     // (N,D,H,W,C)
  const PixelColumns dy{context.data<const float>(call.dy), static_cast<int>(pixels), s.k};  // (N,O,P,Q,K)
  const MatrixOutput out{partials, nullptr, s.k, static_cast<int>(columns)};
  const auto run = [&]<class T, int Vec>(T, std::integral_constant<int, Vec>) {
    const dim3 blocks(grid<T>(s.k, columns), static_cast<unsigned>(plan.splits));
    conv_wgrad_kernel<T, Vec><<<blocks, T::threads, 0, context.stream>>>(dy, x, out, plan.chunk);
    check_launch();
  };
  if (in_quads(s, {x.source, dy.dy, partials})) {
    with_tile(pick_tile(s.k, columns, pixels, plan.splits, multiprocessors()),
              [&](auto tile) { run(tile, std::integral_constant<int, 4>{}); });
  } else {
    run(ScalarTile{}, std::integral_constant<int, 1>{});
  }
  if (plan.splits > 1) sum_splits(context, partials, dw, plan.splits, s.weights());
}

}  // namespace convoy
