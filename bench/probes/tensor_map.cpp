#include "bench/probes/tensor_map.h"

#include <cstddef>

#include "core/cuda.h"

namespace convoy::probe {
namespace {

CUtensorMap encode(const void* tensor, CUtensorMapDataType type, cuuint32_t rank, const cuuint64_t* extents,
                   const cuuint64_t* strides, const cuuint32_t* box) {
  void* entry = nullptr;  // asked for by name: nothing links libcuda
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

CUtensorMap image_map(const ImageView& view, Box box) {
  const auto c = static_cast<cuuint64_t>(view.channels), side = static_cast<cuuint64_t>(view.side),
             pixel = 2 * c;
  const auto step = static_cast<cuuint64_t>(view.step), images = static_cast<cuuint64_t>(view.images);
  const cuuint64_t extents[] = {c, side / step, images, side / step};
  const cuuint64_t strides[] = {step * pixel, side * side * pixel, step * side * pixel};
  const cuuint32_t extents_of_box[] = {64, static_cast<cuuint32_t>(box.width),
                                       static_cast<cuuint32_t>(box.images),
                                       static_cast<cuuint32_t>(box.rows)};
  const auto first =
      (static_cast<cuuint64_t>(view.row) * side + static_cast<cuuint64_t>(view.column)) * pixel;
  return encode(static_cast<const std::byte*>(view.tensor) + first, view.type, 4, extents, strides,
                extents_of_box);
}

CUtensorMap filter_map(const void* tensor, CUtensorMapDataType type, int channels, int filters) {
  const auto c = static_cast<cuuint64_t>(channels);
  const cuuint64_t extents[] = {c, 9, static_cast<cuuint64_t>(filters)}, strides[] = {2 * c, 9 * 2 * c};
  const cuuint32_t box[] = {64, 1, 64};
  return encode(tensor, type, 3, extents, strides, box);
}

}  // namespace convoy::probe
