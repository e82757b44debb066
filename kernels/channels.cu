// Copies of channels: one thread moves 16 bytes of a row, or less where a width or an address is odd. Bytes
// limit all of them.
#include <numeric>

#include "kernels/channels.h"
#include "kernels/cuda_device.cuh"
#include "kernels/fast_divide.h"

namespace convoy {
namespace {

/// Where a run of channels lies in rows of so many packs.
struct Columns {
  int width, first;
};

/// `packs` packs of each row, by_packs splits a thread's index. x null: zeros.
template <int V, class T>
__global__ void __launch_bounds__(block_size)
    copy_channels_kernel(std::uint32_t threads, FastDivide by_packs, const T* x, Columns from, T* y,
                         Columns to) {
  std::uint32_t row = blockIdx.x * block_size + threadIdx.x;
  if (row >= threads) return;
  const std::uint32_t pack = by_packs.divide(row);
  Pack<V> values{};
  if (x != nullptr) values = load<V>(x, std::int64_t{row} * from.width + from.first + pack);
  store<V>(y, std::int64_t{row} * to.width + to.first + pack, values);
}

/// So many threads as the kernels' 32-bit indices may count.
std::uint32_t thread_count(std::int64_t rows, int packs) {
  check(rows * packs <= std::int64_t{1} << 30, "a batch too large to move channels of");
  return static_cast<std::uint32_t>(rows * packs);
}

/// `count` channels of y (rows,to.width) = those of x (rows,from.width).
template <class T>
void copy_channels(const CudaContext& context, std::int64_t rows, int count, const T* x, Columns from, T* y,
                   Columns to) {
  if (rows == 0 || count == 0) return;
  const int common =
      std::gcd(std::gcd(count, std::gcd(from.width, from.first)), std::gcd(to.width, to.first));
  with_pack_width<T>(pack_width<T>(common, x, y), [&](auto width) {
    constexpr int v = decltype(width)::value;
    const std::uint32_t threads = thread_count(rows, count / v);
    copy_channels_kernel<v><<<blocks_for(threads), block_size, 0, context.stream>>>(
        threads, FastDivide(static_cast<std::uint32_t>(count / v)), x,
        Columns{from.width / v, from.first / v}, y, Columns{to.width / v, to.first / v});
  });
  check_launch();
}

/// One thread per pack of y; its channels come from V places of the same row.
template <int V, class T>
__global__ void __launch_bounds__(block_size)
    shuffle_channels_kernel(std::uint32_t threads, FastDivide by_packs, FastDivide by_groups, int c,
                            int members, const T* __restrict__ x, T* __restrict__ y) {
  const std::uint32_t thread = blockIdx.x * block_size + threadIdx.x;
  if (thread >= threads) return;
  std::uint32_t row = thread;
  const std::uint32_t pack = by_packs.divide(row);
  const T* from = x + std::int64_t{row} * c;
  Pack<V> values;
#pragma unroll
  for (int i = 0; i < V; ++i) {
    std::uint32_t member = pack * V + i;
    const std::uint32_t group = by_groups.divide(member);
    values.v[i] = to_float(from[group * members + member]);
  }
  store<V>(y, thread, values);
}

}  // namespace

void launch(const CudaContext& context, const ConcatChannels& call) {
  const int total = std::accumulate(call.c.begin(), call.c.end(), 0);
  with_storage(call.y.dtype, [&]<class T>(T) {
    int first = 0;
    for (std::size_t i = 0; i < call.x.size(); ++i) {
      copy_channels(context, call.rows, call.c[i], context.data<const T>(call.x[i]), {call.c[i], 0},
                    context.data<T>(call.y), {total, first});
      first += call.c[i];
    }
  });
}

void launch(const CudaContext& context, const SliceChannels& call) {
  with_storage(call.y.dtype, [&]<class T>(T) {
    copy_channels(context, call.rows, call.count, context.data<const T>(call.x), {call.c, call.first},
                  context.data<T>(call.y), {call.count, 0});
  });
}

void launch(const CudaContext& context, const ShuffleChannels& call) {
  if (call.rows == 0 || call.c == 0) return;
  with_storage(call.y.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    with_pack_width<T>(pack_width<T>(call.c, y), [&](auto width) {
      constexpr int v = decltype(width)::value;
      const std::uint32_t threads = thread_count(call.rows, call.c / v);
      shuffle_channels_kernel<v><<<blocks_for(threads), block_size, 0, context.stream>>>(
          threads, FastDivide(static_cast<std::uint32_t>(call.c / v)),
          FastDivide(static_cast<std::uint32_t>(call.groups)), call.c, call.c / call.groups, x, y);
    });
  });
  check_launch();
}

}  // namespace convoy
