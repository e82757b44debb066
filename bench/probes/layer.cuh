// A layer of the probes: its tensors, the launches of its three passes, and plain references to check them
// against.
#pragma once

#include <cmath>
#include <cstdio>
#include <vector>

#include "bench/probes/conv_resident.cuh"
#include "bench/probes/conv_streamed.cuh"
#include "bench/probes/wgrad.cuh"
#include "src/core/cuda.h"

namespace convoy::probe {

/// Values that look random, in [-scale, scale), of different tensors for different seeds.
template <class T>
__global__ void fill_kernel(T* to, std::size_t count, unsigned seed, float scale) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x) {
    std::uint64_t v = i * 0x9e3779b97f4a7c15ull + seed * 0xd1b54a32d192ed03ull;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
    v = (v ^ v >> 27) * 0x94d049bb133111ebull;
    to[i] = static_cast<T>((static_cast<float>(static_cast<std::uint32_t>(v >> 32)) * 0x1p-31f - 1) * scale);
  }
}

/// y (N,Side,Side,C), a value a thread. dgrad: of source dy and mirrored taps, summed over filters.
template <class T, Pass pass>
__global__ void reference_kernel(const T* source, const T* filters, int side, int channels, float* y) {
  const std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  const int out = static_cast<int>(i % channels), w = static_cast<int>(i / channels % side),
            h = static_cast<int>(i / channels / side % side);
  const std::size_t image = i / channels / side / side;
  float sum = 0;
  for (int r = 0; r < 3; ++r) {
    for (int s = 0; s < 3; ++s) {
      const int y_in = h + r - 1, x_in = w + s - 1;
      if (y_in < 0 || y_in >= side || x_in < 0 || x_in >= side) continue;
      const T* pixel = source + ((image * side + y_in) * side + x_in) * channels;
      for (int c = 0; c < channels; ++c) {
        const std::size_t at = pass == Pass::fprop ? (std::size_t(out) * 9 + r * 3 + s) * channels + c
                                                   : (std::size_t(c) * 9 + 8 - r * 3 - s) * channels + out;
        sum += static_cast<float>(pixel[c]) * static_cast<float>(filters[at]);
      }
    }
  }
  y[i] = sum;
}

/// dw (C,3,3,C), a value a block of 256 threads, in double.
template <class T>
__global__ void reference_wgrad_kernel(const T* x, const T* dy, int images, int side, int channels,
                                       float* dw) {
  const int c = static_cast<int>(blockIdx.x) % channels, tap = static_cast<int>(blockIdx.x) / channels % 9,
            k = static_cast<int>(blockIdx.x) / channels / 9;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < images * side * side; i += static_cast<int>(blockDim.x)) {
    const int w = i % side + tap % 3 - 1, h = i / side % side + tap / 3 - 1;
    if (w < 0 || w >= side || h < 0 || h >= side) continue;
    const std::size_t pixel = (std::size_t(i / side / side) * side + h) * side + w;
    sum += static_cast<double>(static_cast<float>(dy[std::size_t(i) * channels + k])) *
           static_cast<float>(x[pixel * channels + c]);
  }
  __shared__ double sums[256];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < 256; ++i) sum += sums[i];
  dw[blockIdx.x] = static_cast<float>(sum);
}

/// The tensor (images,side,side,channels) as the copy engine's (C,W,image,H), in boxes of 64 channels x
/// `width` x the images and rows of a tile.
CUtensorMap image_map(const void* tensor, CUtensorMapDataType type, int images, int side, int channels,
                      int width, int box_images);
/// Filters (channels,3,3,channels) as (C,tap,K), in boxes of 64 x 1 x 64.
CUtensorMap filter_map(const void* tensor, CUtensorMapDataType type, int channels);

/// Tensors of a layer and what its kernels write; nothing is initialised.
template <class T>
struct Tensors {
  DeviceMemory<T> x, y, filters;
  DeviceMemory<float> dw;
};

struct Variant {
  int cluster = 1;       ///< blocks that share filters, of the streamed kernel
  bool moments = false;  ///< sums and sums of squares of what is stored
};

template <class T, int Side_, int Channels_>
class Layer {
 public:
  static constexpr int Side = Side_, Channels = Channels_;
  using S = Strip<Side>;
  static constexpr CUtensorMapDataType type =
      std::is_same_v<T, __half> ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  static constexpr int filter_count = Channels * 9 * Channels;

  /// `grid` blocks; 0: one per multiprocessor.
  Layer(int images, int grid) : images_(images), tiles_(images / S::images * S::strips) {
    int device = 0, processors = 0;
    check_cuda(cudaGetDevice(&device));
    check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    grid_ = grid > 0 ? grid : processors;
    check(images % (2 * S::images) == 0, "tiles come in pairs");
    partial_ = allocate_device<float>(std::size_t{wgrad_splits(Channels)} * filter_count);
    moments_ = allocate_device<float2>(std::size_t(tiles_) * Channels);
  }

  std::size_t count() const { return std::size_t(images_) * Side * Side * Channels; }
  int images() const { return images_; }
  int tiles() const { return tiles_; }
  double operations() const { return 2.0 * static_cast<double>(count()) * 9 * Channels; }
  float2* moments() const { return moments_.get(); }

  Tensors<T> make_tensors(unsigned seed) const {
    Tensors<T> t{allocate_device<T>(count()), allocate_device<T>(count()), allocate_device<T>(filter_count),
                 allocate_device<float>(filter_count)};
    fill_kernel<<<1056, 256>>>(t.x.get(), count(), 3 * seed, 1.0f);
    fill_kernel<<<1056, 256>>>(t.y.get(), count(), 3 * seed + 1, 1.0f);
    fill_kernel<<<1056, 256>>>(t.filters.get(), filter_count, 3 * seed + 2, 0.25f);
    check_launch();
    return t;
  }

  /// y = x * filters, or x = y * mirrored filters.
  template <Pass pass>
  void convolve(const Tensors<T>& t, Variant variant, cudaStream_t stream) const {
    const T* from = pass == Pass::fprop ? t.x.get() : t.y.get();
    T* to = pass == Pass::fprop ? t.y.get() : t.x.get();
    const CUtensorMap source = map(from, S::width + 2), result = map(to, S::width);
    const CUtensorMap filters = filter_map(t.filters.get(), type, Channels);
    if constexpr (Channels == 64) {
      constexpr int bytes = ResidentLayout<S>::bytes;
      if (variant.moments)
        launch(conv_resident_kernel<T, Side, pass, true>, tiles_, 1, bytes, stream, source, filters, result);
      else
        launch(conv_resident_kernel<T, Side, pass, false>, tiles_, 1, bytes, stream, source, filters, result);
    } else {
      constexpr int bytes = StreamedLayout<S>::bytes;
      const int items = tiles_ * (Channels / 128);
      if (variant.cluster == 2 && variant.moments)
        launch(conv_streamed_kernel<T, Side, Channels, pass, 2, true>, items, 2, bytes, stream, source,
               filters, result);
      else if (variant.cluster == 2)
        launch(conv_streamed_kernel<T, Side, Channels, pass, 2, false>, items, 2, bytes, stream, source,
               filters, result);
      else
        launch(conv_streamed_kernel<T, Side, Channels, pass, 1, false>, items, 1, bytes, stream, source,
               filters, result);
    }
  }

  /// dw of x and y, which stands for dy. `sum`: with the second kernel.
  void wgrad(const Tensors<T>& t, bool sum, cudaStream_t stream) const {
    constexpr int bytes = WgradLayout<Side>::bytes, splits = wgrad_splits(Channels);
    const auto kernel = wgrad_kernel<T, Side, Channels>;
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    kernel<<<wgrad_blocks, WgradLayout<Side>::threads, bytes, stream>>>(
        map(t.x.get(), S::width + 2), map(t.y.get(), S::width), tiles_, partial_.get());
    check_launch();
    if (!sum) return;
    wgrad_sum_kernel<splits><<<filter_count / 128, 256, 0, stream>>>(
        reinterpret_cast<const float4*>(partial_.get()), filter_count, reinterpret_cast<float4*>(t.dw.get()));
    check_launch();
  }

 private:
  CUtensorMap map(const T* tensor, int width) const {
    return image_map(tensor, type, images_, Side, Channels, width, S::images);
  }
  template <class Kernel>
  void launch(Kernel kernel, int items, int cluster, int bytes, cudaStream_t stream,
              const CUtensorMap& source, const CUtensorMap& filters, const CUtensorMap& result) const {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(std::min(grid_, items) / cluster * cluster));
    config.blockDim = dim3(384);
    config.dynamicSmemBytes = static_cast<std::size_t>(bytes);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = cluster > 1 ? 1 : 0;
    check_cuda(cudaLaunchKernelEx(&config, kernel, source, filters, result, tiles_, moments_.get()));
  }

  int images_, tiles_, grid_;
  DeviceMemory<float> partial_;
  DeviceMemory<float2> moments_;
};

}  // namespace convoy::probe
