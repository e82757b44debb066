// Which part of a picture a network is shown, and how it becomes the network's input.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/shape.h"
#include "src/config/config.h"
#include "src/data/image_source.h"
#include "src/io/resize.h"

namespace convoy {

/// data.resize, or what stands for 0: 8/7 of the network's larger side, as 256 is to 224.
int shorter_side(const DataConfig& config);

/// How `predict` shows pictures to a network: as evaluation does, or, where the data set's images all have
/// the network's size, such that they fill its larger side.
PictureView picture_view(const DataConfig& config);

/// Makes `box` of a picture the network's input, pixels (H,W,C) of `out` and 1 or 3 channels; one is luma.
void write_shown(const ImageView& picture, const Box& box, ImageSize out, int channels, std::uint8_t* pixels);

/// The same of the picture in a file, as it is shown. Throws Error that names the file.
void read_shown(const std::filesystem::path& file, const PictureView& view, ImageSize out, int channels,
                std::uint8_t* pixels);

/// Pictures of any size in, images of the network's input out.
class Cropper {
 public:
  /// `config.input` is that of the model, 1 or 3 channels.
  Cropper(const DataConfig& config, std::uint64_t seed);

  FeatureShape shape() const { return {1, size_.height, size_.width, channels_}; }
  ImageSize size() const { return size_; }
  /// The part of a picture that is shown: in training with random_resized_crop a random one, which depends on
  /// (seed, epoch, sample) alone, else its middle, or the corner that the view says.
  Box box(ImageSize picture, std::int32_t sample, const Occasion& occasion) const;
  /// Resizes the part to the network's input, out (H,W,C); one channel is luma.
  void write(const ImageView& picture, const Box& part, std::uint8_t* out) const;

 private:
  Box random_box(ImageSize picture, std::int32_t sample, int epoch) const;

  RandomResizedCrop random_;
  std::uint64_t seed_;
  ImageSize size_;
  int channels_, shorter_;
};

}  // namespace convoy
