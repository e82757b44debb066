// Folders of pictures (src/data/folder.h), which are decoded when a batch needs them.
#include "src/data/folder.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "src/data/crops.h"
#include "src/data/data_source.h"
#include "src/data/folder_contents.h"
#include "src/data/inspection.h"
#include "src/data/reading.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

class FolderImages : public ImageSource {
 public:
  FolderImages(FolderListing listing, const Dataset& sets, const DataConfig& config, std::uint64_t seed)
      : listing_(std::move(listing)),
        cropper_(config, seed),
        max_bad_(static_cast<std::size_t>(config.max_bad)) {
    next_.resize(listing_.files.size());
    for (const std::vector<std::int32_t>* set : {&sets.train, &sets.validation, &sets.test}) {
      std::map<std::int32_t, std::vector<std::int32_t>> members;  // of each class
      for (const std::int32_t sample : *set)
        members[listing_.labels[static_cast<std::size_t>(sample)]].push_back(sample);
      for (const auto& [label, samples] : members)
        for (std::size_t i = 0; i < samples.size(); ++i)
          next_[static_cast<std::size_t>(samples[i])] = samples[(i + 1) % samples.size()];
    }
  }

  void fetch(std::int32_t sample, const Occasion& occasion, std::uint8_t* out) const override {
    std::int32_t picture = sample;
    do {
      if (try_fetch(picture, sample, occasion, out)) return;
      picture = next_[static_cast<std::size_t>(picture)];
    } while (picture != sample);
    const auto label = static_cast<std::size_t>(listing_.labels[static_cast<std::size_t>(sample)]);
    fail("{}: not one picture of the class {} can be read", listing_.path.string(), listing_.classes[label]);
  }

  std::uint64_t fingerprint() const override {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < listing_.files.size(); ++i) hash += hash_term(i, hash_of(listing_.files[i]));
    return hash;
  }

  const char* contents_kind() const override { return "files"; }
  std::optional<std::uint64_t> hash_contents(std::span<const std::int32_t> samples) const override {
    return hash_of_pictures(listing_, samples);
  }

  std::vector<std::int32_t> replaced() const override {
    const std::lock_guard lock(mutex_);
    return {broken_.begin(), broken_.end()};
  }
  std::string name_of(std::int32_t sample) const override { return listing_.file(sample).string(); }
  std::optional<fs::path> file_of(std::int32_t sample) const override { return listing_.file(sample); }

 private:
  /// Cut as `sample`, so that no other image's randomness is used twice. False when the picture is broken.
  bool try_fetch(std::int32_t picture, std::int32_t sample, const Occasion& occasion,
                 std::uint8_t* out) const {
    if (is_broken(picture)) return false;
    const fs::path path = listing_.file(picture);
    ImagePart part;
    try {
      const auto choose = [&](ImageSize size) { return cropper_.box(size, sample, occasion); };
      part = decode_part(read_image_file(path), path.string(), choose, cropper_.size());
    } catch (const Error& error) {
      note_broken(picture, error.what());
      return false;
    }
    if (part.image.lacks_end) note_lacking(picture);
    cropper_.write(part.image, part.box, out);
    return true;
  }

  void note_lacking(std::int32_t picture) const {
    const std::lock_guard lock(mutex_);
    if (lacking_.insert(picture).second) log_warn("{}: {}", listing_.file(picture).string(), end_is_missing);
  }

  bool is_broken(std::int32_t picture) const {
    const std::lock_guard lock(mutex_);
    return broken_.contains(picture);
  }

  void note_broken(std::int32_t picture, const std::string& problem) const {
    const std::lock_guard lock(mutex_);
    if (!broken_.insert(picture).second) return;
    if (broken_.size() > max_bad_)
      fail("{} ({} broken picture{}; data.max_bad allows {})", problem, broken_.size(),
           broken_.size() == 1 ? "" : "s", max_bad_);
    log_warn("{}; another of its class takes its place", problem);
  }

  const FolderListing listing_;
  const Cropper cropper_;
  const std::size_t max_bad_;
  std::vector<std::int32_t> next_;  ///< of each sample, the next of its class and set, in a circle
  mutable std::mutex mutex_;
  mutable std::set<std::int32_t> broken_, lacking_;  ///< of the latter, the end marker alone
};

class Folder final : public DataSource {
 public:
  Folder() : DataSource(Source::folder) {}

  SourceInfo info(const DataConfig& config) const override {
    const FolderListing listing = choose_folder(config).listing;
    return {Cropper(config, 0).shape(), static_cast<int>(listing.classes.size()), listing.train,
            listing.validation, listing.test};
  }

  /// A picture that cannot be decoded is replaced by the next good one of its class that serves the same
  /// purpose, up to `config.max_bad`; one more is an error that names it.
  Dataset load(const DataConfig& config, std::uint64_t seed) const override {
    ChosenFolder chosen = choose_folder(config);
    FolderListing& listing = chosen.listing;
    Dataset data;
    data.image = Cropper(config, seed).shape();
    data.classes = static_cast<int>(listing.classes.size());
    data.class_names = listing.classes;
    data.labels = listing.labels;
    data.warning = listing.warning;
    data.validation_is_test = chosen.validation_is_test;
    append_ids(data.train, 0, listing.train);
    append_ids(data.validation, listing.train, listing.validation);
    append_ids(data.test, listing.train + listing.validation, listing.test);
    if (config.validation_fraction > 0) split_off_validation(data, config, seed);
    data.source = std::make_shared<FolderImages>(std::move(listing), data, config, seed);
    return data;
  }

  std::vector<std::string> class_names() const override { return {}; }
  Published published() const override { return {}; }

  /// Folders of classes alone say less than a train/ with folders of classes.
  Match match(const fs::path& path) const override {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) return Match::no;
    return folder_layout(path).flat ? Match::possible : Match::sure;
  }
  bool sets_apart(const fs::path& path) const override {
    const FolderLayout layout = folder_layout(path);
    return !layout.validation.empty() || !layout.test.empty();
  }

  std::string drawn_from(const DataConfig&, std::uint64_t) const override { return {}; }

  Verification verify(const DataConfig& config, int threads) const override {
    const Dataset data = load(config, 1);
    std::vector<std::int32_t> samples;
    append_ids(samples, 0, std::ssize(data.labels));
    const PictureReport report = inspect_pictures(data, samples, threads, /*seconds=*/0);
    Verification result;
    result.images = std::ssize(samples);
    result.damaged = std::ssize(report.problems);
    result.problems = report.problems;
    return result;
  }
};

}  // namespace

namespace sets {

const DataSource& folder() {
  static const Folder set;
  return set;
}

}  // namespace sets

}  // namespace convoy
