// Tensor maps of the copy engine. The driver's function is asked for by name, so that nothing links libcuda.
#include <cuda.h>

#include "src/core/cuda.h"

namespace convoy::probe {
namespace {

CUtensorMap encode(const void* tensor, CUtensorMapDataType type, cuuint32_t rank, const cuuint64_t* extents,
                   const cuuint64_t* strides, const cuuint32_t* box) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check_cuda(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess) fail("the driver has no cuTensorMapEncodeTiled");
  const cuuint32_t steps[5] = {1, 1, 1, 1, 1};
  CUtensorMap map{};
  const auto status = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry)(
      &map, type, rank, const_cast<void*>(tensor), extents, strides, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) fail("cuTensorMapEncodeTiled refused a map: {}", static_cast<int>(status));
  return map;
}

}  // namespace

CUtensorMap image_map(const void* tensor, CUtensorMapDataType type, int images, int side, int channels,
                      int width, int box_images) {
  const cuuint64_t c = static_cast<cuuint64_t>(channels), s = static_cast<cuuint64_t>(side), pixel = 2 * c;
  const cuuint64_t extents[] = {c, s, static_cast<cuuint64_t>(images), s},
                   strides[] = {pixel, s * s * pixel, s * pixel};
  const cuuint32_t box[] = {64, static_cast<cuuint32_t>(width), static_cast<cuuint32_t>(box_images),
                            static_cast<cuuint32_t>(side)};
  return encode(tensor, type, 4, extents, strides, box);
}

CUtensorMap filter_map(const void* tensor, CUtensorMapDataType type, int channels) {
  const cuuint64_t c = static_cast<cuuint64_t>(channels);
  const cuuint64_t extents[] = {c, 9, c}, strides[] = {2 * c, 9 * 2 * c};
  const cuuint32_t box[] = {64, 1, 64};
  return encode(tensor, type, 3, extents, strides, box);
}

}  // namespace convoy::probe
