// db (C) = sum over the rows of dy (rows,C). Blocks sum slices of the rows, lanes of a block in a fixed tree,
// then split_sum.cu adds the slices: the order follows from rows and C alone. Limited by reading dy.
#include <algorithm>
#include <bit>

#include "kernels/conv_plan.h"
#include "kernels/cuda_context.h"
#include "kernels/linear.h"
#include "kernels/split_sum.h"

namespace convoy {
namespace {

constexpr int threads = 256;

/// From rows and C alone. `columns` channels (quads of them when C divides) side by side, `lanes` rows.
struct BiasPlan {
  bool quads;
  int columns, lanes, column_blocks, splits;
  std::int64_t chunk;  ///< rows per split
};
BiasPlan plan_bias(std::int64_t rows, int c) {
  constexpr std::int64_t most_splits = 528, fewest_rows_per_lane = 8;
  BiasPlan plan{};
  plan.quads = c % 4 == 0;
  const int width = plan.quads ? c / 4 : c;
  plan.columns = std::max(1, std::min(width, 32));
  plan.lanes = static_cast<int>(std::bit_floor(static_cast<unsigned>(threads / plan.columns)));
  plan.column_blocks = std::max(1, static_cast<int>(blocks_for(width, plan.columns)));
  const std::int64_t wanted =
      std::clamp<std::int64_t>(rows / (plan.lanes * fewest_rows_per_lane), 1,
                               std::max<std::int64_t>(1, most_splits / plan.column_blocks));
  // A second launch costs more than a few more rows.
  plan.chunk = std::max<std::int64_t>(1, blocks_for(rows, wanted < 4 ? 1 : wanted));
  plan.splits = static_cast<int>(std::max<std::int64_t>(1, blocks_for(rows, plan.chunk)));
  return plan;
}

template <int Vec>
struct Values {
  float v[Vec];
};

/// Aligned says whether a quad is one 16-byte load; it changes no bit.
template <int Vec, bool Aligned>
__global__ void __launch_bounds__(threads)
    bias_grad_kernel(const float* __restrict__ dy, float* __restrict__ partials, std::int64_t rows, int c,
                     const BiasPlan plan) {
  __shared__ Values<Vec> shared[threads];
  const int tid = static_cast<int>(threadIdx.x), column = tid % plan.columns, lane = tid / plan.columns;
  const int channel = (static_cast<int>(blockIdx.x) * plan.columns + column) * Vec;
  const std::int64_t begin = blockIdx.y * plan.chunk, end = min(begin + plan.chunk, rows);
  const bool active = channel < c && lane < plan.lanes;
  Values<Vec> sum{};
  if (active) {
#pragma unroll 8
    for (std::int64_t row = begin + lane; row < end; row += plan.lanes) {
      const float* from = dy + row * c + channel;
      if constexpr (Vec == 4 && Aligned) {
        const float4 v = __ldg(reinterpret_cast<const float4*>(from));
        sum.v[0] += v.x, sum.v[1] += v.y, sum.v[2] += v.z, sum.v[3] += v.w;
      } else {
#pragma unroll
        for (int i = 0; i < Vec; ++i) sum.v[i] += __ldg(from + i);
      }
    }
  }
  shared[tid] = sum;
  for (int half = plan.lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
#pragma unroll
      for (int i = 0; i < Vec; ++i) shared[tid].v[i] += shared[tid + half * plan.columns].v[i];
    }
  }
  if (!active || lane > 0) return;
#pragma unroll
  for (int i = 0; i < Vec; ++i) partials[std::int64_t{blockIdx.y} * c + channel + i] = shared[tid].v[i];
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const BiasGrad& call) {
  const int splits = plan_bias(call.rows, call.c).splits;
  return splits == 1 ? 0 : std::int64_t{sizeof(float)} * splits * call.c;
}

void launch(const CudaContext& context, const BiasGrad& call) {
  if (call.c == 0) return;
  const BiasPlan plan = plan_bias(call.rows, call.c);
  const auto* dy = context.data<const float>(call.dy);  // (rows,C)
  auto* db = context.data<float>(call.db);              // (C)
  float* partials =
      plan.splits == 1 ? db : context.arenas.workspace<float>(workspace_bytes<CudaContext>(call));
  const dim3 blocks(static_cast<unsigned>(plan.column_blocks), static_cast<unsigned>(plan.splits));
  const bool aligned = reinterpret_cast<std::uintptr_t>(dy) % 16 == 0;
  const auto kernel = !plan.quads ? bias_grad_kernel<1, false>
                      : aligned   ? bias_grad_kernel<4, true>
                                  : bias_grad_kernel<4, false>;
  kernel<<<blocks, threads, 0, context.stream>>>(dy, partials, call.rows, call.c, plan);
  check_launch();
  if (plan.splits > 1) sum_splits(context, partials, db, plan.splits, call.c);
}

}  // namespace convoy
