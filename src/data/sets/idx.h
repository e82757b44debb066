// MNIST and the data sets that come in its files.
#pragma once

#include <string>
#include <vector>

#include "src/data/data_source.h"

namespace convoy {

/// A data set in four IDX files with MNIST's names, plain or gzipped.
class IdxSource final : public ResidentSource {
 public:
  /// `word` is in lower case, and in the path of the folder where its files lie, which tells the data set
  /// from the others; without one, it is the data set that is meant where nothing is found of the others.
  IdxSource(Source source, std::string word, const SetSizes& sizes, std::vector<std::string> class_names,
            Published published);

  std::vector<std::string> class_names() const override { return class_names_; }
  Published published() const override { return published_; }
  Match match(const std::filesystem::path& path) const override;
  std::string drawn_from(const DataConfig&, std::uint64_t) const override { return {}; }

 protected:
  SetSizes sizes(const DataConfig&) const override { return sizes_; }
  Dataset read(const DataConfig& config, std::uint64_t seed, bool test) const override;

 private:
  std::string word_;
  SetSizes sizes_;
  std::vector<std::string> class_names_;
  Published published_;
};

}  // namespace convoy
