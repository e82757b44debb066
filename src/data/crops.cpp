#include "src/data/crops.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "core/random.h"

namespace convoy {

int shorter_side(const DataConfig& config) {
  if (config.resize > 0) return config.resize;
  const int side = std::max(config.input.at(1), config.input.at(2));
  return static_cast<int>(std::lround(side * 8 / 7.0));
}

PictureView picture_view(const DataConfig& config) {
  if (is_streamed(config.source)) return {shorter_side(config)};
  const int side = std::max(config.input.at(1), config.input.at(2));
  return {side, config.input[1] != config.input[2]};  // a square one is as it is by the other rule, too
}

Cropper::Cropper(const DataConfig& config, std::uint64_t seed) : random_(config.resized_crop), seed_(seed) {
  check(config.input.size() == 3 && (config.input[0] == 1 || config.input[0] == 3),
        "pictures for a network that takes none");
  channels_ = config.input[0];
  size_ = {config.input[1], config.input[2]};
  shorter_ = shorter_side(config);
}

Box Cropper::box(ImageSize picture, std::int32_t sample, const Occasion& occasion) const {
  if (occasion.training && random_.max_scale > 0) return random_box(picture, sample, occasion.epoch);
  return cut_box(picture, shorter_, size_, occasion.view.cut);
}

/// Ten tries for a part that lies within the picture, each with four numbers of its own: area, ratio, place.
/// Then the largest part in the middle whose ratio is in the range.
Box Cropper::random_box(ImageSize picture, std::int32_t sample, int epoch) const {
  constexpr std::uint64_t tries = 10;
  const double area = static_cast<double>(picture.height) * picture.width;
  const double low = std::log(random_.min_ratio), high = std::log(random_.max_ratio);
  for (std::uint64_t i = 0; i < tries; ++i) {
    const Random4 r = random4(seed_, Purpose::resized_crop, static_cast<std::uint32_t>(epoch),
                              static_cast<std::uint64_t>(sample) * tries + i);
    const double share =
        random_.min_scale + uniform01(r.v[0]) * (double{random_.max_scale} - random_.min_scale);
    const double ratio = std::exp(low + uniform01(r.v[1]) * (high - low));
    const double width = std::nearbyint(std::sqrt(area * share * ratio));
    const double height = std::nearbyint(std::sqrt(area * share / ratio));
    if (width < 1 || height < 1 || width > picture.width || height > picture.height) continue;
    const auto places = [](double whole, double part) {
      return static_cast<std::uint32_t>(whole - part) + 1;
    };
    return {static_cast<double>(uniform_below(r.v[2], places(picture.height, height))),
            static_cast<double>(uniform_below(r.v[3], places(picture.width, width))), height, width, true};
  }
  double height = picture.height, width = picture.width;
  if (width > height * random_.max_ratio) width = std::max(1.0, std::nearbyint(height * random_.max_ratio));
  if (width < height * random_.min_ratio) height = std::max(1.0, std::nearbyint(width / random_.min_ratio));
  return {std::floor((picture.height - height) / 2), std::floor((picture.width - width) / 2), height, width,
          true};
}

void Cropper::write(const ImageView& picture, const Box& part, std::uint8_t* out) const {
  write_shown(picture, part, size_, channels_, out);
}

void write_shown(const ImageView& picture, const Box& box, ImageSize out, int channels,
                 std::uint8_t* pixels) {
  if (channels == 3) return resize(picture, box, out, pixels);
  const Image small = resized(picture, box, out);
  to_gray(small.pixels.data(), std::int64_t{out.height} * out.width, pixels);
}

void read_shown(const std::filesystem::path& file, const PictureView& view, ImageSize out, int channels,
                std::uint8_t* pixels) {
  const std::vector<std::uint8_t> bytes = read_image_file(file);
  const ImagePart part = decode_part(
      bytes, file.string(), [&](ImageSize size) { return view.box(size, out); }, out);
  if (part.image.lacks_end) log_warn("{}: {}", file.string(), end_is_missing);
  write_shown(part.image, part.box, out, channels, pixels);
}

}  // namespace convoy
