#include "src/data/folder.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <map>
#include <mutex>
#include <set>

#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/core/log.h"
#include "src/data/crops.h"
#include "src/data/sources.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

bool is_picture(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error))
    if (!is_hidden(it->path())) entries.push_back(it->path());
  if (error) fail("cannot read the folder {}: {}", folder.string(), error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// Files that are left out.
struct Others {
  std::string first;
  int count = 0;
  void add(const fs::path& path) {
    if (count++ == 0) first = path.string();
  }
};

using Classes = std::map<std::string, std::vector<std::string>>;  // name -> names of its pictures

Classes classes_in(const fs::path& folder, Others& others) {
  check_folder(folder, "a folder per class, each with .jpg, .jpeg or .png files");
  Classes classes;
  for (const fs::path& entry : entries_of(folder)) {
    std::error_code ignored;
    if (!fs::is_directory(entry, ignored)) {
      others.add(entry);
      continue;
    }
    std::vector<std::string>& pictures = classes[entry.filename().string()];
    for (const fs::path& file : entries_of(entry)) {
      if (is_picture(file) && !fs::is_directory(file, ignored))
        pictures.push_back(file.filename().string());
      else
        others.add(file);
    }
    if (pictures.empty())
      fail("{}: the folder of a class without a .jpg, .jpeg or .png file", entry.string());
  }
  if (classes.empty()) fail("{}: no folders of classes there", folder.string());
  return classes;
}

std::string missing_in(const Classes& classes, const Classes& others) {
  std::vector<std::string> names;
  for (const auto& [name, pictures] : classes)
    if (!others.contains(name)) names.push_back(name);
  constexpr std::size_t most = 5;
  const std::size_t count = names.size();
  if (count > most) names.resize(most);
  return fmt::format("{}{}", fmt::join(names, ", "),
                     count > most ? fmt::format(" and {} more", count - most) : "");
}

void require_same_classes(const Classes& train, const Classes& validation, const fs::path& path) {
  const std::string only_train = missing_in(train, validation),
                    only_validation = missing_in(validation, train);
  if (only_train.empty() && only_validation.empty()) return;
  std::string text;
  if (!only_train.empty()) text += fmt::format("; only in train: {}", only_train);
  if (!only_validation.empty()) text += fmt::format("; only in val: {}", only_validation);
  fail("{}: train and val have different classes{}", path.string(), text);
}

void append(FolderListing& listing, const std::string& part, const Classes& classes) {
  std::int32_t label = 0;
  for (const auto& [name, pictures] : classes) {
    for (const std::string& picture : pictures) {
      listing.files.push_back(part + "/" + name + "/" + picture);
      listing.labels.push_back(label);
    }
    ++label;
  }
  if (listing.files.size() > std::size_t{std::numeric_limits<std::int32_t>::max()})
    fail("{}: more than 2^31 - 1 pictures", listing.path.string());
}

class FolderSource : public ImageSource {
 public:
  FolderSource(FolderListing listing, const Dataset& sets, const DataConfig& config, std::uint64_t seed)
      : listing_(std::move(listing)),
        cropper_(config, seed),
        max_bad_(static_cast<std::size_t>(config.max_bad)) {
    next_.resize(listing_.files.size());
    for (const std::vector<std::int32_t>* set : {&sets.train, &sets.validation}) {
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

  std::vector<std::int32_t> replaced() const override {
    const std::lock_guard lock(mutex_);
    return {broken_.begin(), broken_.end()};
  }
  std::string name_of(std::int32_t sample) const override { return listing_.file(sample).string(); }

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
    cropper_.write(part.image, part.box, out);
    return true;
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
  mutable std::set<std::int32_t> broken_;
};

}  // namespace

FolderListing list_folder(const fs::path& path, bool validation) {
  check_folder(path, validation ? "train/CLASS/* and val/CLASS/*" : "train/CLASS/*");
  FolderListing listing;
  listing.path = path;
  Others others;
  const Classes train = classes_in(path / "train", others);
  for (const auto& [name, pictures] : train) listing.classes.push_back(name);
  append(listing, "train", train);
  listing.train = static_cast<std::int32_t>(listing.files.size());
  if (validation) {
    const Classes held_out = classes_in(path / "val", others);
    require_same_classes(train, held_out, path);
    append(listing, "val", held_out);
  }
  if (others.count > 0)
    listing.warning =
        fmt::format("{}{}: no .jpg, .jpeg or .png file in a class's folder, left out", others.first,
                    others.count > 1 ? fmt::format(" and {} more", others.count - 1) : "");
  return listing;
}

Dataset read_folder(const DataConfig& config, std::uint64_t seed) {
  const bool split = config.validation_fraction > 0;
  FolderListing listing = list_folder(config.path, !split);
  Dataset data;
  data.image = Cropper(config, seed).shape();
  data.classes = static_cast<int>(listing.classes.size());
  data.class_names = listing.classes;
  data.labels = listing.labels;
  data.warning = listing.warning;
  append_ids(data.train, 0, listing.train);
  append_ids(data.validation, listing.train, std::ssize(listing.files) - listing.train);
  if (split) split_off_validation(data, config, seed);
  data.source = std::make_shared<FolderSource>(std::move(listing), data, config, seed);
  return data;
}

}  // namespace convoy
