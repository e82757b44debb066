// Probes of the CPU: the tile of the matrix product on operands that stay in the first-level cache (its
// loads hide behind the multiply-adds), and a copy by all threads.
#include "kernels/probe.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/ceil_div.h"
#include "kernels/gemm.h"
#include "kernels/runs.h"

namespace convoy {

void launch(const CpuContext& context, const MultiplyAdd& call) {
  const GemmKernel& kernel = gemm_kernel();
  const int rows = kernel.rows, columns = kernel.columns;
  const std::int64_t tiles = ceil_div(call.chains, rows * columns);
  constexpr int depth = multiply_add_length;
  const std::vector<GemmSegment> segments(static_cast<std::size_t>(call.length / depth), {0, 0, depth});
  float* out = context.data<float>(call.out);
  // One task a thread, each with operands of its own.
  const std::int64_t tasks = context.threads().threads();
  context.threads().for_each(tasks, [&](std::int64_t task) {
    std::vector<float> a(static_cast<std::size_t>(rows) * depth, 0.5f);
    std::vector<float> b(static_cast<std::size_t>(columns) * depth, 0.25f);
    std::vector<float> c(static_cast<std::size_t>(rows) * columns);
    std::vector<const float*> a_rows;
    std::vector<float*> c_rows;
    for (int i = 0; i < rows; ++i) {
      a_rows.push_back(a.data() + i * depth);
      c_rows.push_back(c.data() + i * columns);
    }
    GemmTile tile;
    tile.a = a_rows.data(), tile.b = b.data(), tile.b_step = columns, tile.c = c_rows.data();
    tile.segments = segments.data(), tile.segment_count = static_cast<int>(segments.size());
    tile.columns = columns;
    for (std::int64_t i = tiles * task / tasks; i < tiles * (task + 1) / tasks; ++i)
      kernel.run[rows - 1](tile);
    if (task == 0) *out = c[0];
  });
}

void launch(const CpuContext& context, const Copy& call) {
  constexpr std::int64_t chunk = 1 << 20;
  const std::byte* from = context.arenas.raw(call.from);
  std::byte* to = context.arenas.raw(call.to);
  for_each_run<chunk>(context.threads(), call.to.bytes(),
                      [=](std::int64_t, std::int64_t begin, std::int64_t end) {
                        std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin));
                      });
}

}  // namespace convoy
