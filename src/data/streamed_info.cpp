#include "src/data/crops.h"
#include "src/data/folder.h"
#include "src/data/packed.h"
#include "src/data/source_info.h"

namespace convoy {

SourceInfo streamed_info(const DataConfig& config) {
  if (config.source == Source::folder) {
    const FolderListing listing = list_folder(config.path, config.validation_fraction == 0);
    return {Cropper(config, 0).shape(), static_cast<int>(listing.classes.size()), listing.train,
            static_cast<int>(std::ssize(listing.files)) - listing.train};
  }
  const Dataset data = read_packed(config, 0);
  return {data.image, data.classes, static_cast<int>(data.train.size()),
          static_cast<int>(data.validation.size())};
}

}  // namespace convoy
