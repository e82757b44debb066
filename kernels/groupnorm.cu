// Group normalisation: column sums per channel of an image, then a warp per group; forward and backward are
// one pass over memory each. Bytes limit all of them.
#include "kernels/column_sums.cuh"
#include "kernels/groupnorm.h"

namespace convoy {
namespace {

/// d and d², where d = x less the channel's first value in the image: so that squares do not cancel where the
/// mean is far from zero.
template <class T>
struct ShiftedMoments {
  static constexpr int values = 2, rows_at_once = 4;
  const T* x;
  std::int64_t pixels;
  int c;
  template <int V>
  struct Constants {
    Pack<V> shift;
  };
  template <int V>
  struct Loaded {
    StoredPack<T, V> x;
  };
  template <int V>
  __device__ Constants<V> constants(std::int64_t image, int pack) const {
    return {convoy::load<V>(x, image * pixels * (c / V) + pack)};
  }
  template <int V>
  __device__ Loaded<V> load(std::int64_t row, int pack) const {
    return {load_stored<V>(x, row * (c / V) + pack)};
  }
  template <int V>
  __device__ void add(const Constants<V>& constants, const Loaded<V>& in, float (&sum)[values][V]) const {
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const float d = in.x.value(k) - constants.shift.v[k];
      sum[0][k] += d;
      sum[1][k] += d * d;
    }
  }
};

/// dy and dy x̂.
template <class T>
struct Gradients {
  static constexpr int values = 2, rows_at_once = 4;
  const T *x, *dy;
  const float *mean, *inv_std;  // (images,groups)
  int c, groups;
  template <int V>
  struct Constants {
    Pack<V> mean, inv_std;
  };
  template <int V>
  struct Loaded {
    StoredPack<T, V> x, dy;
  };
  template <int V>
  __device__ Constants<V> constants(std::int64_t image, int pack) const {
    Constants<V> out;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const std::int64_t group = image * groups + (pack * V + k) / (c / groups);
      out.mean.v[k] = mean[group], out.inv_std.v[k] = inv_std[group];
    }
    return out;
  }
  template <int V>
  __device__ Loaded<V> load(std::int64_t row, int pack) const {
    const std::int64_t at = row * (c / V) + pack;
    return {load_stored<V>(x, at), load_stored<V>(dy, at)};
  }
  template <int V>
  __device__ void add(const Constants<V>& constants, const Loaded<V>& in, float (&sum)[values][V]) const {
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const float gradient = in.dy.value(k);
      sum[0][k] += gradient;
      sum[1][k] += gradient * ((in.x.value(k) - constants.mean.v[k]) * constants.inv_std.v[k]);
    }
  }
};

/// sums (2,images,c).
struct StoreBoth {
  float* sums;
  std::int64_t columns;
  __device__ void operator()(std::int64_t column, const float (&totals)[2]) const {
    sums[column] = totals[0];
    sums[columns + column] = totals[1];
  }
};

/// The warp's group, counted over all images, and its channels.
struct WarpGroup {
  std::int64_t group, first;  // first: of its channels in (images,c)
  int lane;
  __device__ explicit WarpGroup(const GroupNormShape& s) {
    group = std::int64_t{blockIdx.x} * (block_size / warp_size) + threadIdx.x / warp_size;
    first = group / s.groups * s.c + group % s.groups * s.members();
    lane = static_cast<int>(threadIdx.x) % warp_size;
  }
};
unsigned warp_blocks(const GroupNormShape& s) {
  return blocks_for(s.images * s.groups, block_size / warp_size);
}

/// From the shifted sums (2,images,c) of channels to the moments of groups, in double.
template <class T>
__global__ void __launch_bounds__(block_size)
    moments_kernel(GroupNormShape s, const T* __restrict__ x, const float* __restrict__ sums,
                   float* __restrict__ mean, float* __restrict__ inv_std) {
  const WarpGroup own(s);
  if (own.group >= s.images * s.groups) return;
  const auto pixels = static_cast<double>(s.pixels), m = pixels * s.members();
  const T* first_pixel = x + own.group / s.groups * s.pixels * s.c;
  const auto shift_of = [&](int k) {
    return static_cast<double>(to_float(first_pixel[own.first % s.c + k]));
  };
  double sum = 0.0;
  for (int k = own.lane; k < s.members(); k += warp_size)
    sum += static_cast<double>(sums[own.first + k]) + pixels * shift_of(k);
  const double average = warp_sum(sum) / m;
  double squares = 0.0;
  for (int k = own.lane; k < s.members(); k += warp_size) {
    const double apart = average - shift_of(k);
    squares += static_cast<double>(sums[s.images * s.c + own.first + k]) -
               2.0 * apart * static_cast<double>(sums[own.first + k]) + pixels * apart * apart;
  }
  const double variance = fmax(0.0, warp_sum(squares) / m);
  if (own.lane > 0) return;
  mean[own.group] = static_cast<float>(average);
  inv_std[own.group] = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(s.epsilon)));
}

/// out (images,groups,2) = sums (2,images,c) times gamma over each group.
__global__ void __launch_bounds__(block_size)
    group_sums_kernel(GroupNormShape s, const float* __restrict__ sums, const float* __restrict__ gamma,
                      float* __restrict__ out) {
  const WarpGroup own(s);
  if (own.group >= s.images * s.groups) return;
  float gradients = 0.0f, products = 0.0f;
  for (int k = own.lane; k < s.members(); k += warp_size) {
    const float scale = gamma[own.first % s.c + k];
    gradients += scale * sums[own.first + k];
    products += scale * sums[s.images * s.c + own.first + k];
  }
  gradients = warp_sum(gradients), products = warp_sum(products);
  if (own.lane > 0) return;
  out[2 * own.group] = gradients;
  out[2 * own.group + 1] = products;
}

/// dbeta, dgamma (c) = sums (2,images,c) over the images in order; one thread per channel.
__global__ void __launch_bounds__(block_size)
    weight_gradients_kernel(GroupNormShape s, const float* __restrict__ sums, float* __restrict__ dgamma,
                            float* __restrict__ dbeta) {
  const auto c = static_cast<int>(blockIdx.x * block_size + threadIdx.x);
  if (c >= s.c) return;
  float gradient = 0.0f, product = 0.0f;
#pragma unroll 8
  for (std::int64_t image = 0; image < s.images; ++image) {
    gradient += sums[image * s.c + c];
    product += sums[(s.images + image) * s.c + c];
  }
  dbeta[c] = gradient;
  dgamma[c] = product;
}

/// A thread's pack of x (images,pixels,c), and its groups.
struct GroupGeometry {
  std::uint32_t threads;
  FastDivide by_packs, by_pixels, by_members;
  int groups;
  GroupGeometry(const GroupNormShape& s, int v) : groups(s.groups) {
    check(s.count() / v <= std::int64_t{1} << 30, "a batch too large to normalise");
    threads = static_cast<std::uint32_t>(s.count() / v);
    by_packs = FastDivide(static_cast<std::uint32_t>(s.c / v));
    by_pixels = FastDivide(static_cast<std::uint32_t>(s.pixels));
    by_members = FastDivide(static_cast<std::uint32_t>(s.members()));
  }
};
template <int V>
struct GroupPlace {
  std::uint32_t pack;
  std::int64_t image;
  __device__ GroupPlace(const GroupGeometry& g, std::uint32_t thread) {
    std::uint32_t row = thread;
    pack = g.by_packs.divide(row);
    image = g.by_pixels.quotient(row);
  }
  /// Which group of (images,groups) channel k of the pack is in.
  __device__ std::int64_t group(const GroupGeometry& g, int k) const {
    // Packs that no group's end cuts have one group: the same loads for all k.
    const std::uint32_t channel = g.by_members.divisor() % V == 0 ? pack * V : pack * V + k;
    return image * g.groups + g.by_members.quotient(channel);
  }
};

template <int V, class T>
__global__ void __launch_bounds__(block_size)
    forward_kernel(const __grid_constant__ GroupGeometry g, const T* __restrict__ x,
                   const float* __restrict__ mean, const float* __restrict__ inv_std,
                   const float* __restrict__ gamma, const float* __restrict__ beta, T* __restrict__ y) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= g.threads) return;
  const GroupPlace<V> place(g, i);
  Pack<V> value = load<V>(x, i);
  const Pack<V> scale = load<V>(gamma, place.pack), shift = load<V>(beta, place.pack);
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const std::int64_t group = place.group(g, k);
    value.v[k] = (value.v[k] - mean[group]) * inv_std[group] * scale.v[k] + shift.v[k];
  }
  store<V>(y, i, value);
}

template <int V, class T>
__global__ void __launch_bounds__(block_size)
    backward_kernel(const __grid_constant__ GroupGeometry g, float share, const T* __restrict__ x,
                    const T* __restrict__ dy, const float* __restrict__ mean,
                    const float* __restrict__ inv_std, const float* __restrict__ gamma,
                    const float2* __restrict__ sums, T* __restrict__ dx) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= g.threads) return;
  const GroupPlace<V> place(g, i);
  const Pack<V> value = load<V>(x, i), scale = load<V>(gamma, place.pack);
  Pack<V> gradient = load<V>(dy, i);
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const std::int64_t group = place.group(g, k);
    const float2 sum = sums[group];
    const float s = inv_std[group], normalized = (value.v[k] - mean[group]) * s;
    gradient.v[k] = s * (scale.v[k] * gradient.v[k] - sum.x * share - normalized * (sum.y * share));
  }
  store<V>(dx, i, gradient);
}

ColumnParts parts_of(const GroupNormShape& s) {
  return {s.images, s.pixels, s.c};
}
/// Partial sums, then sums (2,images,c).
std::int64_t sums_bytes(const GroupNormShape& s) {
  return parts_of(s).partial_bytes(2) + std::int64_t{2 * sizeof(float)} * s.images * s.c;
}

/// Leaves the sums (2,images,c) of a source in the workspace, which is theirs.
template <class T, class Source>
const float* sum_channels(const CudaContext& context, const GroupNormShape& s, int widest,
                          const Source& source) {
  const ColumnParts parts = parts_of(s);
  auto* partial = context.arenas.workspace<float>(sums_bytes(s));
  float* sums = partial + parts.partial_bytes(2) / std::int64_t{sizeof(float)};
  launch_column_sums<T>(context, parts, widest, source, partial, StoreBoth{sums, parts.columns()});
  return sums;
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const GroupNormStatistics& call) {
  return sums_bytes(call.shape);
}
template <>
std::int64_t workspace_bytes<CudaContext>(const GroupNormReduce& call) {
  return sums_bytes(call.shape);
}

void launch(const CudaContext& context, const GroupNormStatistics& call) {
  const GroupNormShape& s = call.shape;
  if (s.count() == 0) return;
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    const float* sums =
        sum_channels<T>(context, s, pack_width<T>(s.c, x), ShiftedMoments<T>{x, s.pixels, s.c});
    moments_kernel<<<warp_blocks(s), block_size, 0, context.stream>>>(
        s, x, sums, context.data<float>(call.mean), context.data<float>(call.inv_std));
  });
  check_launch();
}

void launch(const CudaContext& context, const GroupNormForward& call) {
  const GroupNormShape& s = call.shape;
  if (s.count() == 0) return;
  const auto *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    with_pack_width<T>(pack_width<T>(s.c, x, y, gamma, beta), [&](auto width) {
      constexpr int v = decltype(width)::value;
      const GroupGeometry geometry(s, v);
      forward_kernel<v><<<blocks_for(geometry.threads), block_size, 0, context.stream>>>(
          geometry, x, context.data<const float>(call.mean), context.data<const float>(call.inv_std), gamma,
          beta, y);
    });
  });
  check_launch();
}

void launch(const CudaContext& context, const GroupNormReduce& call) {
  const GroupNormShape& s = call.shape;
  with_storage(call.x.dtype, [&]<class T>(T) {
    const Gradients<T> source{context.data<const T>(call.x),
                              context.data<const T>(call.dy),
                              context.data<const float>(call.mean),
                              context.data<const float>(call.inv_std),
                              s.c,
                              s.groups};
    const float* sums = sum_channels<T>(context, s, pack_width<T>(s.c, source.x, source.dy), source);
    if (s.images > 0) {
      group_sums_kernel<<<warp_blocks(s), block_size, 0, context.stream>>>(
          s, sums, context.data<const float>(call.gamma), context.data<float>(call.sums));
    }
    weight_gradients_kernel<<<blocks_for(s.c), block_size, 0, context.stream>>>(
        s, sums, context.data<float>(call.dgamma), context.data<float>(call.dbeta));
  });
  check_launch();
}

void launch(const CudaContext& context, const GroupNormBackward& call) {
  const GroupNormShape& s = call.shape;
  if (s.count() == 0) return;
  const auto* gamma = context.data<const float>(call.gamma);
  const float share = 1.0f / static_cast<float>(s.pixels * s.members());
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto *x = context.data<const T>(call.x), *dy = context.data<const T>(call.dy);
    auto* dx = context.data<T>(call.dx);
    with_pack_width<T>(pack_width<T>(s.c, x, dy, dx, gamma), [&](auto width) {
      constexpr int v = decltype(width)::value;
      const GroupGeometry geometry(s, v);
      backward_kernel<v><<<blocks_for(geometry.threads), block_size, 0, context.stream>>>(
          geometry, share, x, dy, context.data<const float>(call.mean),
          context.data<const float>(call.inv_std), gamma,
          reinterpret_cast<const float2*>(context.data<const float>(call.sums)), dx);
    });
  });
  check_launch();
}

}  // namespace convoy
