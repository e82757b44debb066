#include "src/data/crops.h"
#include "src/data/folder.h"
#include "src/data/packed.h"
#include "src/data/source_info.h"

namespace convoy {

SourceInfo streamed_info(const DataConfig& config) {
  if (config.source == Source::folder) {
    const FolderListing listing = choose_folder(config).listing;
    return {Cropper(config, 0).shape(), static_cast<int>(listing.classes.size()), listing.train,
            listing.validation, listing.test};
  }
  const Dataset data = read_packed(config, 0);
  const int train = static_cast<int>(data.train.size()),
            validation = static_cast<int>(data.validation.size());
  const bool split = config.validation_fraction > 0;
  return {data.image, data.classes, split ? train + validation : train, split ? 0 : validation,
          static_cast<int>(data.test.size())};
}

}  // namespace convoy
