// What the pictures of a folder are, told by a look at some of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "src/data/folder.h"

namespace convoy {

/// Of these samples' labels and names within their classes' folders, the sizes of up to 65,536 files, and the
/// first 128 KiB of up to 512. Which ones is pseudo-random, but the same wherever the names are the same.
/// Nothing where a file cannot be read.
std::optional<std::uint64_t> hash_of_pictures(const FolderListing& listing,
                                              std::span<const std::int32_t> samples);

}  // namespace convoy
