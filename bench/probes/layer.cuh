// A layer of the probes: its tensors, the launches of its three passes, and plain references to check them
// against.
#pragma once

#include <cmath>
#include <cstdio>
#include <vector>

#include "bench/probes/conv_resident.cuh"
#include "bench/probes/conv_stride2_dgrad.cuh"
#include "bench/probes/tensor_map.h"
#include "bench/probes/wgrad.cuh"
#include "core/cuda.h"

namespace convoy::probe {

/// Values that look random, in [-scale, scale), of different tensors for different seeds. `relu`: zeros
/// where they are negative.
template <class T>
__global__ void fill_kernel(T* to, std::size_t count, unsigned seed, float scale, bool relu) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x) {
    std::uint64_t v = i * 0x9e3779b97f4a7c15ull + seed * 0xd1b54a32d192ed03ull;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
    v = (v ^ v >> 27) * 0x94d049bb133111ebull;
    const float value = (static_cast<float>(static_cast<std::uint32_t>(v >> 32)) * 0x1p-31f - 1) * scale;
    to[i] = static_cast<T>(relu ? fmaxf(value, 0) : value);
  }
}

/// The sizes of a 3 x 3 convolution with padding 1: x (images,in,in,channels), filters
/// (filters,3,3,channels), y (images,side,side,filters), in = side x stride.
struct Shape {
  int images, side, channels, filters, stride;
};

/// y of fprop or x of dgrad, a value a thread. `coefficients` and `residual`: of Extras, or none.
template <class T, Pass pass>
__global__ void reference_kernel(const T* source, const T* filters, Shape shape, const float2* coefficients,
                                 const T* residual, float* result) {
  const int in = shape.side * shape.stride, side = pass == Pass::fprop ? shape.side : in;
  const int outputs = pass == Pass::fprop ? shape.filters : shape.channels;
  const int depth = pass == Pass::fprop ? shape.channels : shape.filters;
  const int source_side = pass == Pass::fprop ? in : shape.side;
  const std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x, pixel = i / outputs;
  const int output = static_cast<int>(i % outputs), w = static_cast<int>(pixel % side),
            h = static_cast<int>(pixel / side % side);
  const std::size_t image = pixel / side / side;
  float sum = 0;
  for (int r = 0; r < 3; ++r) {
    for (int s = 0; s < 3; ++s) {
      int from_h = h * shape.stride + r - 1, from_w = w * shape.stride + s - 1;
      if constexpr (pass == Pass::dgrad) {
        if ((h + 1 - r) % shape.stride != 0 || (w + 1 - s) % shape.stride != 0) continue;
        from_h = (h + 1 - r) / shape.stride, from_w = (w + 1 - s) / shape.stride;
      }
      if (from_h < 0 || from_h >= source_side || from_w < 0 || from_w >= source_side) continue;
      const T* from = source + ((image * source_side + from_h) * source_side + from_w) * depth;
      for (int d = 0; d < depth; ++d) {
        const std::size_t filter = pass == Pass::fprop ? output : d,
                          channel = pass == Pass::fprop ? d : output;
        float value = static_cast<float>(from[d]);
        if (coefficients != nullptr)
          value =
              static_cast<float>(static_cast<T>(fmaxf(fmaf(value, coefficients[d].x, coefficients[d].y), 0)));
        sum += value * static_cast<float>(filters[(filter * 9 + 3 * r + s) * shape.channels + channel]);
      }
    }
  }
  result[i] = residual == nullptr ? sum : fmaxf(sum + static_cast<float>(residual[i]), 0);
}

/// dw (filters,3,3,channels) of stride 1, a value a block of 256 threads, in double.
template <class T>
__global__ void reference_wgrad_kernel(const T* x, const T* dy, Shape shape, float* dw) {
  const int channels = shape.channels, side = shape.side;
  const int c = static_cast<int>(blockIdx.x) % channels, tap = static_cast<int>(blockIdx.x) / channels % 9,
            k = static_cast<int>(blockIdx.x) / channels / 9;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < shape.images * side * side;
       i += static_cast<int>(blockDim.x)) {
    const int w = i % side + tap % 3 - 1, h = i / side % side + tap / 3 - 1;
    if (w < 0 || w >= side || h < 0 || h >= side) continue;
    const std::size_t pixel = (std::size_t(i / side / side) * side + h) * side + w;
    sum += static_cast<double>(static_cast<float>(dy[std::size_t(i) * shape.filters + k])) *
           static_cast<float>(x[pixel * channels + c]);
  }
  __shared__ double sums[256];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < 256; ++i) sum += sums[i];
  dw[blockIdx.x] = static_cast<float>(sum);
}

/// Tensors of a layer; dw is what wgrad writes.
template <class T>
struct Tensors {
  DeviceMemory<T> x, y, filters, residual;
  DeviceMemory<float> dw;
};

struct Variant {
  bool moments = false;                      ///< sums and sums of squares of what is stored
  bool residual = false, normalise = false;  ///< of the resident kernel's fprop
};

/// A layer whose y is Side x Side.
template <class T, int Side, int Channels, int Filters, int Stride>
class Layer {
 public:
  using S = Strip<Side>;
  static constexpr CUtensorMapDataType type =
      std::is_same_v<T, __half> ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  static constexpr int filter_count = Filters * 9 * Channels;
  static constexpr bool has_wgrad = Stride == 1 && Channels == Filters;
  static constexpr bool resident = Channels == 64 && Filters == 64 && Stride == 1;
  static constexpr bool has_dgrad = resident || Channels % 128 == 0 || Stride == 2;

  /// `grid` blocks; 0: one per multiprocessor.
  Layer(int images, int grid)
      : tiles_(images / S::images * S::strips), shape_{images, Side, Channels, Filters, Stride} {
    int device = 0;
    check_cuda(cudaGetDevice(&device));
    check_cuda(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device));
    if (grid > 0) processors_ = grid;
    check(images % (2 * S::images) == 0, "tiles come in pairs");
    if constexpr (has_wgrad)
      partial_ = allocate_device<float>(std::size_t{wgrad_splits(Channels)} * filter_count);
    moments_ = allocate_device<float2>(moment_count());
    std::vector<float2> coefficients(Channels);
    for (int c = 0; c < Channels; ++c)
      coefficients[c] =
          make_float2(0.5f + static_cast<float>(c % 7) / 7, static_cast<float>(c % 5) / 8 - 0.25f);
    coefficients_ = allocate_device<float2>(Channels);
    check_cuda(cudaMemcpy(coefficients_.get(), coefficients.data(), Channels * sizeof(float2),
                          cudaMemcpyHostToDevice));
    time_ = allocate_device<LoopTime>(1);
  }

  const Shape& shape() const { return shape_; }
  std::size_t x_count() const { return y_count() / Filters * Channels * Stride * Stride; }
  std::size_t y_count() const { return std::size_t(shape_.images) * Side * Side * Filters; }
  std::size_t moment_count() const { return std::size_t(tiles_) * Filters; }
  double operations() const { return 2.0 * static_cast<double>(y_count()) * 9 * Channels; }
  float2* moments() const { return moments_.get(); }
  const float2* coefficients() const { return coefficients_.get(); }
  LoopTime* time() const { return time_.get(); }
  int processors() const { return processors_; }

  Tensors<T> make_tensors(unsigned seed, bool relu = false) const {
    Tensors<T> t{allocate_device<T>(x_count()), allocate_device<T>(y_count()),
                 allocate_device<T>(filter_count), allocate_device<T>(resident ? y_count() : 1),
                 allocate_device<float>(filter_count)};
    fill_kernel<<<1056, 256>>>(t.x.get(), x_count(), 4 * seed, 1.0f, relu);
    fill_kernel<<<1056, 256>>>(t.y.get(), y_count(), 4 * seed + 1, 1.0f, false);
    fill_kernel<<<1056, 256>>>(t.filters.get(), filter_count, 4 * seed + 2, 0.25f, false);
    if (resident) fill_kernel<<<1056, 256>>>(t.residual.get(), y_count(), 4 * seed + 3, 4.0f, false);
    check_launch();
    return t;
  }

  void fprop(const Tensors<T>& t, Variant variant, cudaStream_t stream) const {
    const CUtensorMap filters = filter_map(t.filters.get(), type, Channels, Filters);
    if constexpr (resident) {
      launch_resident<Pass::fprop>(map_x(t, box_of_patch), filters, map_y(t, box_of_piece), t, variant,
                                   stream);
    } else if constexpr (Stride == 1) {
      launch_streamed<Stride1<Side, Pass::fprop>, Channels, Filters, Pass::fprop>(
          {map_x(t, box_of_patch)}, filters, {map_y(t, box_of_piece)}, variant, stream);
    } else {
      launch_streamed<Stride2<Side>, Channels, Filters, Pass::fprop>(
          planes_of_x(t, [](int plane) { return box_of(Stride2<Side>::columns(plane)); }), filters,
          {map_y(t, box_of_piece)}, variant, stream);
    }
  }

  void dgrad(const Tensors<T>& t, Variant variant, cudaStream_t stream) const {
    const CUtensorMap filters = filter_map(t.filters.get(), type, Channels, Filters);
    if constexpr (resident) {
      launch_resident<Pass::dgrad>(map_y(t, box_of_patch), filters, map_x(t, box_of_piece), t, variant,
                                   stream);
    } else if constexpr (Stride == 1) {
      launch_streamed<Stride1<Side, Pass::dgrad>, Filters, Channels, Pass::dgrad>(
          {map_y(t, box_of_patch)}, filters, {map_x(t, box_of_piece)}, variant, stream);
    } else if constexpr (Channels == 64) {
      using L = Stride2DgradLayout<Side, Filters>;
      launch(conv_stride2_dgrad_kernel<T, Side, Filters>, tiles_ / L::groups, L::bytes, stream,
             map_y(t, box_of(L::columns)), filters, planes_of_x(t, [](int) { return box_of_piece; }), tiles_,
             time_.get());
    } else {
      launch_streamed<Stride2Dgrad<Side>, Filters, Channels, Pass::dgrad>(
          {map_y(t, box_of(Stride2Dgrad<Side>::columns(0)))}, filters,
          planes_of_x(t, [](int) { return box_of_piece; }), variant, stream);
    }
  }

  /// dw of x and y, which stands for dy. `sum`: with the second kernel.
  void wgrad(const Tensors<T>& t, bool sum, cudaStream_t stream) const {
    using L = WgradLayout<Side>;
    const auto kernel = wgrad_kernel<T, Side, Channels>;
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, L::bytes));
    kernel<<<wgrad_blocks, L::threads, L::bytes, stream>>>(map_x(t, box_of_patch), map_y(t, box_of_tile),
                                                           tiles_, partial_.get(), time_.get());
    check_launch();
    if (!sum) return;
    wgrad_sum_kernel<wgrad_splits(Channels)><<<filter_count / 128, 256, 0, stream>>>(
        reinterpret_cast<const float4*>(partial_.get()), filter_count, reinterpret_cast<float4*>(t.dw.get()));
    check_launch();
  }

 private:
  static constexpr Box box_of(Columns columns) { return {columns.count(), S::images, Side}; }
  static constexpr Box box_of_patch{S::width + 2, S::images, Side}, box_of_tile{S::width, S::images, Side},
      box_of_piece{S::width, S::images, Side / 4};

  CUtensorMap map_y(const Tensors<T>& t, Box box) const {
    return image_map({t.y.get(), type, shape_.images, Side, Filters}, box);
  }
  CUtensorMap map_x(const Tensors<T>& t, Box box) const {
    return image_map({t.x.get(), type, shape_.images, Side * Stride, Channels}, box);
  }
  /// Rows and columns of x by parity.
  template <class BoxOf>
  Maps<4> planes_of_x(const Tensors<T>& t, BoxOf box_of_plane) const {
    Maps<4> maps;
    for (int i = 0; i < 4; ++i)
      maps.map[i] = image_map({t.x.get(), type, shape_.images, Side * Stride, Channels, 2, i / 2, i % 2},
                              box_of_plane(i));
    return maps;
  }

  template <Pass pass>
  void launch_resident(const CUtensorMap& source, const CUtensorMap& filters, const CUtensorMap& result,
                       const Tensors<T>& t, Variant variant, cudaStream_t stream) const {
    const ExtraTensors tensors{
        image_map({t.residual.get(), type, shape_.images, Side, Channels}, box_of_tile), coefficients_.get(),
        moments_.get()};
    const auto launch_with = [&]<Extras extras>() {
      launch(conv_resident_kernel<T, Side, pass, extras>, tiles_, ResidentLayout<S>::bytes, stream, source,
             filters, result, tiles_, tensors, time_.get());
    };
    if constexpr (pass == Pass::fprop) {
      if (variant.residual) return launch_with.template operator()<residual_extra>();
      if (variant.normalise && variant.moments)
        return launch_with.template operator()<normalise_extra | moments_extra>();
      if (variant.normalise) return launch_with.template operator()<normalise_extra>();
    }
    if (variant.moments) return launch_with.template operator()<moments_extra>();
    launch_with.template operator()<0>();
  }
  template <class Walk, int Depth, int Outputs, Pass pass>
  void launch_streamed(const Maps<Walk::sources>& source, const CUtensorMap& filters,
                       const Maps<Walk::classes>& result, Variant variant, cudaStream_t stream) const {
    using L = StreamedLayout<Walk>;
    constexpr int bytes = L::bytes;
    const int items = tiles_ * (Outputs / L::outputs);
    const auto launch_with = [&]<Extras extras>() {
      launch(conv_streamed_kernel<T, Walk, Depth, Outputs, pass, extras>, items, bytes, stream, source,
             filters, result, tiles_, moments_.get(), time_.get());
    };
    if constexpr (Walk::classes == 1)
      if (variant.moments) return launch_with.template operator()<moments_extra>();
    launch_with.template operator()<0>();
  }
  template <class Kernel, class... Arguments>
  void launch(Kernel kernel, int items, int bytes, cudaStream_t stream, const Arguments&... arguments) const {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(std::min(processors_, items)));
    config.blockDim = dim3(384);
    config.dynamicSmemBytes = static_cast<std::size_t>(bytes);
    config.stream = stream;
    check_cuda(cudaLaunchKernelEx(&config, kernel, arguments...));
  }

  int tiles_, processors_ = 0;
  Shape shape_;
  DeviceMemory<float> partial_;
  DeviceMemory<float2> moments_, coefficients_;
  DeviceMemory<LoopTime> time_;
};

}  // namespace convoy::probe
