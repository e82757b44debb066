// What a data set is to the rest of the program: how its files are known, fetched, read and checked. The list
// of data sets is in src/data/sets/all.h, each is a file of src/data/sets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/data/published.h"
#include "src/data/source_info.h"

namespace convoy {

/// How sure it is that files belong to a data set, where no configuration says so.
enum class Match {
  no,
  possible,  ///< any folder may be one of pictures
  likely,    ///< other data sets have files of the same names
  sure,
};

/// The result of reading every image of a data set.
struct Verification {
  static constexpr std::size_t most_problems = 10;
  std::int64_t images = 0, damaged = 0;
  std::vector<std::string> problems;  ///< of damaged images; of packed files, of the first `most_problems`
  std::string note;  ///< what could not be checked, "; ..." for the end of a sentence; or empty
};

/// A data set that data.source names. Of one that is missing a member, no object can be made.
class DataSource {
 public:
  explicit DataSource(Source source) : source_(source) {}
  virtual ~DataSource() = default;
  DataSource(const DataSource&) = delete;
  DataSource& operator=(const DataSource&) = delete;

  Source source() const { return source_; }
  const char* name() const { return facts_of(source_).name; }  ///< as data.source has it

  /// What is known before images are read.
  virtual SourceInfo info(const DataConfig& config) const = 0;

  /// See load_dataset(), which is what others call.
  virtual Dataset load(const DataConfig& config, std::uint64_t seed) const = 0;

  /// In the order of the labels. Empty where classes have no names, or where only the files know them.
  virtual std::vector<std::string> class_names() const = 0;

  /// For `convoy data fetch`; without files where the data set is not published as files of its own.
  virtual Published published() const = 0;

  /// Whether the files of this data set are right at `path`, a folder or a file. Throws Error, which says
  /// what to do, for files of this data set that Convoy cannot read.
  virtual Match match(const std::filesystem::path& path) const = 0;

  /// Whether the files at `path`, which match, have images apart from those to train on.
  virtual bool sets_apart(const std::filesystem::path& path) const = 0;

  /// Of drawn images, all that they and their labels depend on. Empty for images that are read from files.
  virtual std::string drawn_from(const DataConfig& config, std::uint64_t seed) const = 0;

  /// Reads every image, in up to `threads` threads. Throws Error where the rest of the files is damaged.
  virtual Verification verify(const DataConfig& config, int threads) const = 0;

 private:
  Source source_;
};

/// Sizes of a data set as it was published, or as it is drawn.
struct SetSizes {
  FeatureShape image;
  int classes = 0, train = 0, test = 0;  ///< the latter two in images
};

/// A data set that is read or drawn at once, into memory, and has a training and a test part.
class ResidentSource : public DataSource {
 public:
  using DataSource::DataSource;
  SourceInfo info(const DataConfig& config) const final;
  Dataset load(const DataConfig& config, std::uint64_t seed) const final;
  bool sets_apart(const std::filesystem::path&) const final { return true; }
  Verification verify(const DataConfig& config, int threads) const final;

 protected:
  virtual SetSizes sizes(const DataConfig& config) const = 0;

  /// Images and labels; ids of the training part in Dataset::train, of the test part in Dataset::validation.
  /// Without `test` the files of the test part are neither opened nor needed.
  virtual Dataset read(const DataConfig& config, std::uint64_t seed, bool test) const = 0;

  /// For the end of a message that files are missing: " (`convoy data fetch NAME --output DIR` gets them)".
  std::string fetch_hint(const std::string& folder) const;
};

/// The data set of this name.
const DataSource& data_source(Source source);

/// The names of those that `convoy data fetch` knows.
std::vector<std::string> published_names();

/// Each defined in its file of src/data/sets.
namespace sets {
#define CONVOY_DECLARE_SET(id, name, kind, help) const DataSource& id();
CONVOY_DATA_SETS(CONVOY_DECLARE_SET)
#undef CONVOY_DECLARE_SET
}  // namespace sets

}  // namespace convoy
