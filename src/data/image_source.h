// Images that are made when a batch needs them, for data sets that do not lie in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/data/views.h"
#include "src/io/image.h"

namespace convoy {

/// What an image is fetched for. An evaluation's images are the same in every epoch.
struct Occasion {
  bool training = false;
  int epoch = 0;
  int each_batch = 0;  ///< what `epoch` grows by from one batch of a sequence to the next
  View view{};         ///< of evaluation
};

/// Where such a data set's images come from. Threads may fetch at the same time.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  /// Writes a sample's image, not mirrored, of the shape and bytes that Dataset says. The same arguments give
  /// the same bytes, whoever asks, and in whatever order. Throws Error that names what cannot be read.
  virtual void fetch(std::int32_t sample, const Occasion& occasion, std::uint8_t* out) const = 0;

  /// Of what images are read from; the same where ranks read the same.
  virtual std::uint64_t fingerprint() const = 0;
  /// What hash_contents() is of, as DataIdentity::kind.
  virtual const char* contents_kind() const = 0;
  /// Of these samples, in rising order: what they show, and their labels; src/data/identity.h says how much
  /// of that is looked at. Nothing where it cannot be read.
  virtual std::optional<std::uint64_t> hash_contents(std::span<const std::int32_t> samples) const = 0;

  /// Samples that were found broken so far and replaced by others.
  virtual std::vector<std::int32_t> replaced() const { return {}; }
  /// What a sample is called, for messages.
  virtual std::string name_of(std::int32_t sample) const = 0;
  /// The picture that a sample's image is cut from, where it is stored decoded: of packed files.
  virtual std::optional<Image> picture_of(std::int32_t) const { return std::nullopt; }
  /// The picture file that a sample is made from; nothing where it has none of its own.
  virtual std::optional<std::filesystem::path> file_of(std::int32_t) const { return std::nullopt; }
};

}  // namespace convoy
