// Packed files: a folder of pictures, decoded and resized once, for training at full speed.
//
//   bytes 0-7     "CONVOYIM"
//   8-15          u64 H: bytes of the header's text
//   16-23         u64 hash_of (core/hash.h) the header's text and all that stands behind the images
//   24-           the text, JSON: {"version": 3, "height": h, "width": w, "classes": [names], "train": n,
//                 "validation": m, "test": t}; version 1 has no "test"
//   at the next multiple of 4096: images, u8 (n + m + t,h,w,3), the n to train on first, the t to test on
//   last right after them: labels, i32 (n + m + t)
//   then, as of version 3: packed_image_hash (packed_layout.h) of each image, u64 (n + m + t); then the file
//   ends
//
// Integers are little-endian.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace convoy {

struct PackOptions {
  int size = 256;   ///< height and width: the shorter side is resized to it, the middle cut out
  int max_bad = 0;  ///< broken pictures that are left out; one more is an error
  int threads = 1;
  /// Told now and then how many pictures of how many are done.
  std::function<void(std::int64_t done, std::int64_t of)> progress;
};

/// The result of packing.
struct PackSummary {
  std::int64_t train = 0, validation = 0, test = 0, left_out = 0;
  int classes = 0;
  std::uint64_t bytes = 0;
};

/// Packs the pictures of a folder, whatever its layout (src/data/folder.h); without val/ and test/ all are to
/// train on, and data.validation: FRACTION serves. The file is whole or absent. Throws Error.
PackSummary pack_folder(const std::filesystem::path& folder, const std::filesystem::path& file,
                        const PackOptions& options);

}  // namespace convoy
