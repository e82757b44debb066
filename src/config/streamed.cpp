// The schema of sources whose images are made as batches need them: folders of pictures and packed files.
#include "src/config/schema.h"

namespace convoy {
namespace {

/// `[low, high]` for two members of DataConfig::resized_crop.
Field<DataConfig> range_field(std::string key, float RandomResizedCrop::*low, float RandomResizedCrop::*high,
                              Interval range, std::string help) {
  const Codec<std::vector<float>> codec = one_or_list(number<float>(range), 2, 2);
  Field<DataConfig> field;
  field.key = std::move(key);
  field.type = codec.type;
  field.help = std::move(help);
  field.read = [=](DataConfig& target, const Place& place) {
    const std::vector<float> ends = codec.read(place);
    if (ends[0] > ends[1]) place.refuse("{} stands before {}; expected the smaller first", ends[0], ends[1]);
    target.resized_crop.*low = ends[0];
    target.resized_crop.*high = ends[1];
  };
  field.write = [=](const DataConfig& source) {
    return codec.write({source.resized_crop.*low, source.resized_crop.*high});
  };
  return field;
}

}  // namespace

Kind<DataConfig> random_resized_crop() {
  using R = RandomResizedCrop;
  Kind<DataConfig> crop;
  crop.name = "random_resized_crop";
  crop.help = "resize a random part of the picture to model.input (source: folder | packed)";
  crop.table.short_key = "scale";
  crop.table.fields = {
      range_field("scale", &R::min_scale, &R::max_scale, Interval{.low = 0, .high = 1, .low_open = true},
                  "of the part, as a share of the picture's area; [0.08, 1] is usual")
          .require(),
      range_field("ratio", &R::min_ratio, &R::max_ratio, above(0), "its width over its height")};
  return crop;
}

void check_streamed(const DataConfig& data, const Place& place) {
  if (is_streamed(data.source)) {
    if (data.resident == DataConfig::Resident::yes)
      place.at("resident").refuse("true: pictures are read batch by batch with source: folder | packed");
    if (data.source == Source::packed && data.validation_fraction > 0)
      place.at("validation").refuse("a packed file says itself which of its images are for validation");
    return;
  }
  if (data.resized_crop.max_scale > 0)
    place.at("augment").refuse("random_resized_crop: only with source: folder | packed");
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
