// The schema of sources whose images are made as batches need them: folders of pictures and packed files.
#include "src/config/schema.h"
#include "src/config/sources.h"

namespace convoy {

void check_streamed(const DataConfig& data, const Place& place) {
  const std::string streamed = names_of_sources(is_streamed, " | ");
  if (is_streamed(data.source)) {
    if (data.resident == DataConfig::Resident::yes)
      place.at("resident").refuse("true: pictures are read batch by batch with source: {}", streamed);
    return;
  }
  if (data.resized_crop.max_scale > 0)
    place.at("augment").refuse("random_resized_crop: only with source: {}", streamed);
}

void check_streamed_input(const Config& config, const Place& place) {
  if (!is_streamed(config.data.source)) return;
  const std::vector<int>& input = config.model.input;
  if (input.size() != 3 || (input[0] != 1 && input[0] != 3))
    place.at("model").at("input").refuse(
        "[{}]: pictures have 3 channels, or 1 where they are wanted in gray, and height and width",
        fmt::join(input, ", "));
  const int side = std::max(input[1], input[2]);
  if (config.data.resize > 0 && config.data.resize < side)
    place.at("data").at("resize").refuse("{} is less than model.input's larger side, {}", config.data.resize,
                                         side);
}

}  // namespace convoy
