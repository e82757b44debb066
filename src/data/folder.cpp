#include "src/data/folder.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "core/error.h"
#include "src/data/class_names.h"
#include "src/data/picture_files.h"
#include "src/data/reading.h"
#include "src/io/image_format.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

using Classes = std::map<std::string, std::vector<std::string>>;  // name -> names of its pictures

/// What a listing tells people.
struct Remarks {
  LeftOut others;
  std::string first_deeper;  ///< picture in a folder within a class's folder
  std::int64_t deeper = 0;
  bool all_deeper = true;

  std::string text() const {
    std::string text = others.text(" in a class's folder");
    if (deeper == 0) return text;
    if (!text.empty()) text += "; ";
    return text +
           fmt::format(
               "{} of the pictures lie{} deeper than their class folder and belong to that class, too: {}{}",
               deeper, deeper == 1 ? "s" : "", first_deeper,
               all_deeper ? "; is data.path a folder too high?" : "");
  }
};

Classes classes_in(const fs::path& folder, Remarks& remarks) {
  Classes classes;
  for (const FolderEntry& entry : entries_of(folder)) {
    if (entry.kind != FolderEntry::Kind::folder) {
      remarks.others.add(entry);
      continue;
    }
    FoundPictures found = find_pictures(entry.path);
    if (!found.unreadable.empty()) fail("{}", found.unreadable.front());
    if (found.files.empty())
      fail("{}: the folder of a class without a {} file{}", entry.path.string(), picture_endings,
           found.others.empty() ? "" : "; it holds " + found.others.first());
    remarks.others.add(found.others);
    if (found.deeper > 0 && remarks.deeper == 0) {
      const auto is_deeper = [](const std::string& name) { return name.find('/') != std::string::npos; };
      const auto first = std::find_if(found.files.begin(), found.files.end(), is_deeper);
      remarks.first_deeper = (entry.path / *first).string();
    }
    remarks.deeper += found.deeper;
    remarks.all_deeper = remarks.all_deeper && found.deeper == std::ssize(found.files);
    classes[entry.path.filename().string()] = std::move(found.files);
  }
  return classes;
}

std::vector<std::string> missing_in(const Classes& classes, const Classes& others) {
  std::vector<std::string> names;
  for (const auto& [name, pictures] : classes)
    if (!others.contains(name)) names.push_back(name);
  return names;
}

void require_same_classes(const Classes& train, const Classes& others, const std::string& part,
                          const fs::path& path) {
  const std::vector<std::string> only_train = missing_in(train, others),
                                 only_other = missing_in(others, train);
  if (only_train.empty() && only_other.empty()) return;
  std::string text;
  if (!only_train.empty()) text += fmt::format("; only in train: {}", list_of_names(only_train, only_other));
  if (!only_other.empty())
    text += fmt::format("; only in {}: {}", part, list_of_names(only_other, only_train));
  fail("{}: train and {} have different classes{}", path.string(), part, text);
}

/// Returns how many there are.
std::int32_t append(FolderListing& listing, const std::string& part, const Classes& classes) {
  const std::size_t before = listing.files.size();
  std::int32_t label = 0;
  for (const auto& [name, pictures] : classes) {
    for (const std::string& picture : pictures) {
      listing.files.push_back((part.empty() ? "" : part + "/") + name + "/" + picture);
      listing.labels.push_back(label);
    }
    ++label;
  }
  if (listing.files.size() > std::size_t{std::numeric_limits<std::int32_t>::max()})
    fail("{}: more than 2^31 - 1 pictures", listing.path.string());
  return static_cast<std::int32_t>(listing.files.size() - before);
}

}  // namespace

FolderLayout folder_layout(const fs::path& path) {
  check_folder(path, "train/CLASS/* and val/CLASS/*, or CLASS/*");
  FolderLayout layout;
  for (const char* name : {"val", "valid", "validation"}) {
    if (!is_folder(path / name)) continue;
    if (!layout.validation.empty())
      fail("{}: has {}/ and {}/; which of them is for validation?", path.string(), layout.validation, name);
    layout.validation = name;
  }
  if (is_folder(path / "test")) layout.test = "test";
  if (is_folder(path / "train")) {
    layout.train = "train";
    return layout;
  }
  const std::string part = layout.validation.empty() ? layout.test : layout.validation;
  if (!part.empty()) fail("{}: has {}/ but no train/, which would hold train/CLASS/*", path.string(), part);
  layout.flat = true;
  return layout;
}

std::string_view FolderListing::name_in_class(std::int32_t sample) const {
  const auto index = static_cast<std::size_t>(sample);
  const std::string_view file = files[index];
  const std::size_t part = flat ? 0 : file.find('/') + 1;
  return file.substr(part + classes[static_cast<std::size_t>(labels[index])].size() + 1);
}

FolderListing list_folder(const fs::path& path, const FolderLayout& layout) {
  FolderListing listing;
  listing.path = path;
  listing.flat = layout.flat;
  Remarks remarks;
  const fs::path root = layout.flat ? path : path / layout.train;
  const Classes train = classes_in(root, remarks);
  if (train.empty())
    fail("{}: no folders of classes there, each with {} files", root.string(), picture_endings);
  for (const auto& [name, pictures] : train) listing.classes.push_back(name);
  listing.train = append(listing, layout.train, train);
  if (!layout.validation.empty()) {
    const Classes held_out = classes_in(path / layout.validation, remarks);
    require_same_classes(train, held_out, layout.validation, path);
    listing.validation = append(listing, layout.validation, held_out);
  }
  if (!layout.test.empty()) {
    const Classes test = classes_in(path / layout.test, remarks);
    if (!test.empty()) {
      require_same_classes(train, test, layout.test, path);
      listing.test = append(listing, layout.test, test);
    }
  }
  listing.warning = remarks.text();
  return listing;
}

ChosenFolder choose_folder(const DataConfig& config) {
  FolderLayout layout = folder_layout(config.path);
  ChosenFolder chosen;
  const auto refuse = [&](const std::string& why) {
    fail_usage(
        "{}: data.validation: {}: {}; set data.validation: 0.1 to validate on a tenth of the training "
        "pictures",
        config.mark.text(), config.path, why);
  };
  if (config.validation_fraction > 0) {
    layout.validation.clear();
  } else if (layout.flat) {
    refuse("its folders are classes (there is no train/), so there are no pictures for validation");
  } else if (layout.validation.empty()) {
    if (layout.test.empty()) refuse("there is neither val/ nor test/ beside train/");
    layout.validation = std::exchange(layout.test, "");
    chosen.validation_is_test = true;
  }
  if (config.test == DataConfig::Test::none) layout.test.clear();
  chosen.listing = list_folder(config.path, layout);
  return chosen;
}

}  // namespace convoy
