#include "src/data/views.h"

#include <algorithm>

#include "core/error.h"
#include "src/data/crops.h"

namespace convoy {

std::vector<View> views_of(const std::string& tta, const DataConfig& config) {
  if (tta == "none") return {{}};
  if (tta == "flip") return {{}, {Cut::middle, true}};
  if (tta != "five_crop") fail_usage("--tta {}: there are none, flip and five_crop", tta);
  if (!is_streamed(config.source))
    fail_usage(
        "--tta five_crop: the images of source: {} have the network's size, so that nothing is cut out "
        "of them; use --tta flip",
        facts_of(config.source).name);
  const int shorter = shorter_side(config);
  if (shorter == config.input.at(1) && shorter == config.input.at(2))
    fail_usage(
        "--tta five_crop: pictures are resized to the network's size, {}; give a larger "
        "data.resize, such as data.resize={}",
        shorter, shorter + shorter / 7);
  return {{Cut::top_left}, {Cut::top_right}, {Cut::bottom_left}, {Cut::bottom_right}, {Cut::middle}};
}

void mirror(const FeatureShape& shape, std::uint8_t* pixels) {
  const std::int64_t rows = std::int64_t{shape.d} * shape.h, row_bytes = std::int64_t{shape.w} * shape.c;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint8_t* left = pixels + row * row_bytes;
    std::uint8_t* right = left + row_bytes - shape.c;
    for (; left < right; left += shape.c, right -= shape.c) std::swap_ranges(left, left + shape.c, right);
  }
}

}  // namespace convoy
