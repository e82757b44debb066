// Layer normalisation: a warp, or a part of one, per row, whose packs stay in registers where they fit; so x
// and dy are read once. Weight gradients are column sums. Bytes limit all of them.
#include "kernels/column_sums.cuh"
#include "kernels/layernorm.h"

namespace convoy {
namespace {

/// The sum over `Lanes` neighbouring lanes, on each of them; all lanes of the warp take part.
template <int Lanes>
__device__ inline float lane_sum(float value) {
  for (int offset = Lanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(~0u, value, offset);
  return value;
}

/// Which packs of a row a lane has: lane, lane + Lanes, ... At most Keep of them, or any number for 0.
template <int V, int Lanes, int Keep>
struct RowLane {
  int lane, packs;
  /// Calls f(place among this lane's packs, place in the row).
  template <class F>
  __device__ void for_each(const F& f) const {
    if constexpr (Keep > 0) {
#pragma unroll
      for (int k = 0; k < Keep; ++k) {
        if (lane + k * Lanes < packs) f(k, lane + k * Lanes);
      }
    } else {
      for (int pack = lane; pack < packs; pack += Lanes) f(0, pack);
    }
  }
};

/// This lane's packs of a row: kept in registers, or read again each time.
template <class T, int V, int Lanes, int Keep>
class RowPacks {
 public:
  __device__ RowPacks(const T* row, const RowLane<V, Lanes, Keep>& own) : row_(row) {
    if constexpr (Keep > 0) own.for_each([&](int k, int pack) { kept_[k] = load_stored<V>(row, pack); });
  }
  __device__ Pack<V> at(int k, int pack) const {
    if constexpr (Keep > 0)
      return unpack(kept_[k]);
    else
      return load<V>(row_, pack);
  }

 private:
  const T* row_;
  StoredPack<T, V> kept_[Keep > 0 ? Keep : 1];
};

/// The row of this thread. Beyond the last one it is the last one, which nobody stores: shuffles need every
/// lane.
template <int Lanes>
struct RowOfThread {
  std::int64_t row;
  bool stores;
  int lane;
  __device__ explicit RowOfThread(std::int64_t rows) {
    row = std::int64_t{blockIdx.x} * (block_size / Lanes) + threadIdx.x / Lanes;
    stores = row < rows;
    row = stores ? row : rows - 1;
    lane = static_cast<int>(threadIdx.x) % Lanes;
  }
};

template <int V, int Lanes, int Keep, class T>
__global__ void __launch_bounds__(block_size)
    forward_kernel(LayerNormShape s, const T* __restrict__ x, const float* __restrict__ gamma,
                   const float* __restrict__ beta, T* __restrict__ y, float* __restrict__ means,
                   float* __restrict__ inv_stds) {
  const RowOfThread<Lanes> at(s.rows);
  const RowLane<V, Lanes, Keep> own{at.lane, s.c / V};
  const RowPacks<T, V, Lanes, Keep> values(x + at.row * s.c, own);
  const float share = 1.0f / static_cast<float>(s.c);
  float sum = 0.0f;
  own.for_each([&](int k, int pack) {
    const Pack<V> value = values.at(k, pack);
#pragma unroll
    for (int i = 0; i < V; ++i) sum += value.v[i];
  });
  const float mean = lane_sum<Lanes>(sum) * share;
  float squares = 0.0f;
  own.for_each([&](int k, int pack) {
    const Pack<V> value = values.at(k, pack);
#pragma unroll
    for (int i = 0; i < V; ++i) squares += (value.v[i] - mean) * (value.v[i] - mean);
  });
  const float inv_std = 1.0f / sqrtf(lane_sum<Lanes>(squares) * share + s.epsilon);
  if (!at.stores) return;
  own.for_each([&](int k, int pack) {
    Pack<V> value = values.at(k, pack);
    const Pack<V> scale = load<V>(gamma, pack), shift = load<V>(beta, pack);
#pragma unroll
    for (int i = 0; i < V; ++i) value.v[i] = (value.v[i] - mean) * inv_std * scale.v[i] + shift.v[i];
    store<V>(y + at.row * s.c, pack, value);
  });
  if (means != nullptr && at.lane == 0) means[at.row] = mean, inv_stds[at.row] = inv_std;
}

template <int V, int Lanes, int Keep, class T>
__global__ void __launch_bounds__(block_size)
    backward_kernel(LayerNormShape s, const T* __restrict__ x, const T* __restrict__ dy,
                    const float* __restrict__ gamma, const float* __restrict__ means,
                    const float* __restrict__ inv_stds, T* __restrict__ dx) {
  const RowOfThread<Lanes> at(s.rows);
  const RowLane<V, Lanes, Keep> own{at.lane, s.c / V};
  const RowPacks<T, V, Lanes, Keep> values(x + at.row * s.c, own), gradients(dy + at.row * s.c, own);
  const float mean = means[at.row], inv_std = inv_stds[at.row], share = 1.0f / static_cast<float>(s.c);
  float sum = 0.0f, products = 0.0f;
  own.for_each([&](int k, int pack) {
    const Pack<V> value = values.at(k, pack), gradient = gradients.at(k, pack);
    const Pack<V> scale = load<V>(gamma, pack);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float g = scale.v[i] * gradient.v[i];
      sum += g;
      products += g * ((value.v[i] - mean) * inv_std);
    }
  });
  const float of_g = lane_sum<Lanes>(sum) * share, of_products = lane_sum<Lanes>(products) * share;
  if (!at.stores) return;
  own.for_each([&](int k, int pack) {
    const Pack<V> value = values.at(k, pack);
    Pack<V> gradient = gradients.at(k, pack);
    const Pack<V> scale = load<V>(gamma, pack);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      gradient.v[i] =
          inv_std * (scale.v[i] * gradient.v[i] - of_g - (value.v[i] - mean) * inv_std * of_products);
    }
    store<V>(dx + at.row * s.c, pack, gradient);
  });
}

/// dy x̂ and dy.
template <class T>
struct WeightGradients {
  static constexpr int values = 2, rows_at_once = 4;
  const T *x, *dy;
  const float *mean, *inv_std;
  int c;
  template <int V>
  struct Constants {};
  template <int V>
  struct Loaded {
    StoredPack<T, V> x, dy;
    float mean, inv_std;
  };
  template <int V>
  __device__ Constants<V> constants(std::int64_t, int) const {
    return {};
  }
  template <int V>
  __device__ Loaded<V> load(std::int64_t row, int pack) const {
    const std::int64_t at = row * (c / V) + pack;
    return {load_stored<V>(x, at), load_stored<V>(dy, at), mean[row], inv_std[row]};
  }
  template <int V>
  __device__ void add(const Constants<V>&, const Loaded<V>& in, float (&sum)[values][V]) const {
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const float gradient = in.dy.value(k);
      sum[0][k] += gradient * ((in.x.value(k) - in.mean) * in.inv_std);
      sum[1][k] += gradient;
    }
  }
};

struct StoreWeightGradients {
  float *dgamma, *dbeta;
  __device__ void operator()(std::int64_t column, const float (&totals)[2]) const {
    dgamma[column] = totals[0];
    dbeta[column] = totals[1];
  }
};

/// Calls function(lanes per row, packs that a lane keeps), both compile-time constants.
template <class Function>
void with_row_lanes(int packs, Function function) {
  const auto call = [&]<int Lanes, int Keep>() {
    function(std::integral_constant<int, Lanes>{}, std::integral_constant<int, Keep>{});
  };
  if (packs <= 8) return call.template operator()<8, 1>();
  if (packs <= 16) return call.template operator()<16, 1>();
  if (packs <= 32) return call.template operator()<32, 1>();
  if (packs <= 64) return call.template operator()<32, 2>();
  if (packs <= 128) return call.template operator()<32, 4>();
  call.template operator()<32, 0>();
}

}  // namespace

void launch(const CudaContext& context, const LayerNormForward& call) {
  const LayerNormShape& s = call.shape;
  if (s.count() == 0) return;
  const auto *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    with_pack_width<T>(pack_width<T>(s.c, x, y, gamma, beta), [&](auto width) {
      constexpr int v = decltype(width)::value;
      with_row_lanes(s.c / v, [&](auto lanes, auto keep) {
        constexpr int l = decltype(lanes)::value, k = decltype(keep)::value;
        forward_kernel<v, l, k><<<blocks_for(s.rows, block_size / l), block_size, 0, context.stream>>>(
            s, x, gamma, beta, y, context.data<float>(call.mean), context.data<float>(call.inv_std));
      });
    });
  });
  check_launch();
}

void launch(const CudaContext& context, const LayerNormBackward& call) {
  const LayerNormShape& s = call.shape;
  if (s.count() == 0) return;
  const auto *gamma = context.data<const float>(call.gamma), *mean = context.data<const float>(call.mean),
             *inv_std = context.data<const float>(call.inv_std);
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto *x = context.data<const T>(call.x), *dy = context.data<const T>(call.dy);
    auto* dx = context.data<T>(call.dx);
    with_pack_width<T>(pack_width<T>(s.c, x, dy, dx, gamma), [&](auto width) {
      constexpr int v = decltype(width)::value;
      with_row_lanes(s.c / v, [&](auto lanes, auto keep) {
        constexpr int l = decltype(lanes)::value, k = decltype(keep)::value;
        backward_kernel<v, l, k><<<blocks_for(s.rows, block_size / l), block_size, 0, context.stream>>>(
            s, x, dy, gamma, mean, inv_std, dx);
      });
    });
  });
  check_launch();
}

template <>
std::int64_t workspace_bytes<CudaContext>(const LayerNormWgrad& call) {
  return ColumnParts(1, call.shape.rows, call.shape.c).partial_bytes(2);
}

void launch(const CudaContext& context, const LayerNormWgrad& call) {
  const LayerNormShape& s = call.shape;
  const ColumnParts parts(1, s.rows, s.c);
  with_storage(call.x.dtype, [&]<class T>(T) {
    const WeightGradients<T> source{context.data<const T>(call.x), context.data<const T>(call.dy),
                                    context.data<const float>(call.mean),
                                    context.data<const float>(call.inv_std), s.c};
    launch_column_sums<T>(
        context, parts, pack_width<T>(s.c, source.x, source.dy), source,
        context.arenas.workspace<float>(parts.partial_bytes(2)),
        StoreWeightGradients{context.data<float>(call.dgamma), context.data<float>(call.dbeta)});
  });
}

}  // namespace convoy
