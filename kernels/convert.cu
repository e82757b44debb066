// Conversion on the GPU: packs of four where addresses and the count allow it; bound by memory.
#include "kernels/convert.h"
#include "kernels/cuda_device.cuh"

namespace convoy {
namespace {

template <int V, class From, class To>
__global__ void __launch_bounds__(block_size)
    convert_kernel(std::int64_t packs, const From* __restrict__ from, To* __restrict__ to) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i < packs) store<V>(to, i, load<V>(from, i));
}

}  // namespace

void launch(const CudaContext& context, const Convert& call) {
  const std::int64_t count = call.to.count;
  if (count == 0) return;
  with_storage(call.from.dtype, [&]<class From>(From) {
    with_storage(call.to.dtype, [&]<class To>(To) {
      const auto* from = context.data<const From>(call.from);
      auto* to = context.data<To>(call.to);
      with_pack_width<float>(in_fours(count, from, to) ? 4 : 1, [&](auto width) {
        constexpr int v = decltype(width)::value;
        convert_kernel<v><<<blocks_for(count / v), block_size, 0, context.stream>>>(count / v, from, to);
      });
      check_launch();
    });
  });
}

}  // namespace convoy
