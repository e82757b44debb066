// Factors that pixels share: one pass over memory each.
#include "kernels/column_sums.cuh"
#include "kernels/fast_divide.h"
#include "kernels/scaling.h"

namespace convoy {
namespace {

/// One thread per pack of x (images,pixels,c).
template <int V, class T, class Factor>
__global__ void __launch_bounds__(block_size)
    scale_kernel(std::uint32_t threads, FastDivide by_packs, FastDivide by_pixels, const T* __restrict__ x,
                 const Factor* __restrict__ factors, T* __restrict__ y) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= threads) return;
  std::uint32_t row = i;
  const std::uint32_t pack = by_packs.divide(row);
  const std::int64_t image = by_pixels.quotient(row);
  Pack<V> value = load<V>(x, i);
  const Pack<V> factor = load<V>(factors, image * by_packs.divisor() + pack);
#pragma unroll
  for (int k = 0; k < V; ++k) value.v[k] *= factor.v[k];
  store<V>(y, i, value);
}

/// a b.
template <class T>
struct Products {
  static constexpr int values = 1, rows_at_once = 4;
  const T *a, *b;
  int c;
  template <int V>
  struct Constants {};
  template <int V>
  struct Loaded {
    StoredPack<T, V> a, b;
  };
  template <int V>
  __device__ Constants<V> constants(std::int64_t, int) const {
    return {};
  }
  template <int V>
  __device__ Loaded<V> load(std::int64_t row, int pack) const {
    const std::int64_t at = row * (c / V) + pack;
    return {load_stored<V>(a, at), load_stored<V>(b, at)};
  }
  template <int V>
  __device__ void add(const Constants<V>&, const Loaded<V>& in, float (&sum)[values][V]) const {
#pragma unroll
    for (int k = 0; k < V; ++k) sum[0][k] += in.a.value(k) * in.b.value(k);
  }
};

template <class T>
struct StoreSum {
  T* sums;
  __device__ void operator()(std::int64_t column, const float (&totals)[1]) const {
    sums[column] = from_float<T>(totals[0]);
  }
};

ColumnParts parts_of(const ScaleGradient& call) {
  return {call.shape.images, call.shape.pixels, call.shape.c};
}

}  // namespace

void launch(const CudaContext& context, const ScalePixels& call) {
  const ScaleShape& s = call.shape;
  if (s.count() == 0) return;
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto scale_by = [&](const auto* factors) {
      const auto* x = context.data<const T>(call.x);
      auto* y = context.data<T>(call.y);
      with_pack_width<T>(pack_width<T>(s.c, x, y, factors), [&](auto width) {
        constexpr int v = decltype(width)::value;
        const std::int64_t threads = s.count() / v;
        check(threads <= std::int64_t{1} << 30, "a batch too large to scale");
        scale_kernel<v><<<blocks_for(threads), block_size, 0, context.stream>>>(
            static_cast<std::uint32_t>(threads), FastDivide(static_cast<std::uint32_t>(s.c / v)),
            FastDivide(static_cast<std::uint32_t>(s.pixels)), x, factors, y);
      });
    };
    if (call.factors.dtype == call.x.dtype)
      scale_by(context.data<const T>(call.factors));
    else
      scale_by(context.data<const float>(call.factors));
  });
  check_launch();
}

template <>
std::int64_t workspace_bytes<CudaContext>(const ScaleGradient& call) {
  return parts_of(call).partial_bytes(1);
}

void launch(const CudaContext& context, const ScaleGradient& call) {
  const ColumnParts parts = parts_of(call);
  auto* partial = context.arenas.workspace<float>(parts.partial_bytes(1));
  with_storage(call.a.dtype, [&]<class T>(T) {
    const Products<T> source{context.data<const T>(call.a), context.data<const T>(call.b), call.shape.c};
    const int widest = pack_width<T>(call.shape.c, source.a, source.b);
    with_storage(call.sums.dtype, [&]<class Sum>(Sum) {
      launch_column_sums<T>(context, parts, widest, source, partial,
                            StoreSum<Sum>{context.data<Sum>(call.sums)});
    });
  });
}

}  // namespace convoy
