#include "src/data/picture_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "src/io/image_format.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
using Kind = FolderEntry::Kind;

Kind kind_of(const fs::directory_entry& entry) {
  std::error_code error;
  if (entry.is_directory(error)) return Kind::folder;
  if (entry.is_regular_file(error)) return Kind::file;
  return entry.is_symlink(error) && !entry.exists(error) ? Kind::dangling_link : Kind::other;
}

class Walk {
 public:
  FoundPictures run(const fs::path& folder) {
    std::error_code error;
    for (fs::path above = fs::canonical(folder, error); above.has_relative_path();) {
      above = above.parent_path();
      above_.push_back(identity_of(above));
    }
    enter(folder, "");
    return std::move(found_);
  }

 private:
  using Identity = std::pair<dev_t, ino_t>;

  static Identity identity_of(const fs::path& folder) {
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 ? Identity{status.st_dev, status.st_ino} : Identity{};
  }

  void enter(const fs::path& folder, const std::string& prefix) {
    const Identity identity = identity_of(folder);
    if (identity != Identity{} && std::find(above_.begin(), above_.end(), identity) != above_.end())
      return found_.others.add({Kind::folder, folder});
    above_.push_back(identity);
    std::vector<FolderEntry> entries;
    try {
      entries = entries_of(folder);
    } catch (const Error& error) {
      found_.unreadable.emplace_back(error.what());
    }
    for (const FolderEntry& entry : entries) {
      const std::string name = prefix + entry.path.filename().string();
      if (entry.kind == Kind::folder) {
        enter(entry.path, name + "/");
      } else if (entry.kind == Kind::file && has_picture_ending(entry.path)) {
        found_.files.push_back(name);
        if (!prefix.empty()) ++found_.deeper;
      } else {
        found_.others.add(entry);
      }
    }
    above_.pop_back();
  }

  FoundPictures found_;
  std::vector<Identity> above_;  ///< of the folder under way and those that it lies in
};

}  // namespace

std::vector<FolderEntry> entries_of(const fs::path& folder) {
  std::vector<FolderEntry> entries;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (!it->path().filename().string().starts_with('.')) entries.push_back({kind_of(*it), it->path()});
  }
  if (error) fail("cannot read the folder {}: {}", folder.string(), error.message());
  std::sort(entries.begin(), entries.end(),
            [](const FolderEntry& a, const FolderEntry& b) { return a.path.native() < b.path.native(); });
  return entries;
}

void LeftOut::add(const FolderEntry& entry) {
  if (count_++ == 0) first_ = entry.path.string();
  const std::string ending = lower_ending(entry.path);
  const bool is_picture = has_picture_ending(entry.path);
  switch (entry.kind) {
    case Kind::folder:
      return add_kind("link to a folder that it lies in", 1);
    case Kind::dangling_link:
      return add_kind(is_picture ? ending + " that is a link to nothing" : ending, 1);
    case Kind::other:
      return add_kind(is_picture ? ending + " that is no regular file" : ending, 1);
    case Kind::file:
      return add_kind(ending.empty() ? "without an ending" : ending, 1);
  }
}

void LeftOut::add(const LeftOut& more) {
  if (count_ == 0) first_ = more.first_;
  count_ += more.count_;
  for (const auto& [kind, count] : more.kinds_) add_kind(kind, count);
}

std::string LeftOut::text(const std::string& where) const {
  if (count_ == 0) return {};
  std::vector<std::string> kinds;
  for (const auto& [kind, count] : kinds_) kinds.push_back(fmt::format("{} {}", count, kind));
  return fmt::format("{}{}: left out, no {} file{} ({})", first_,
                     count_ > 1 ? fmt::format(" and {} more", count_ - 1) : "", picture_endings, where,
                     fmt::join(kinds, ", "));
}

FoundPictures find_pictures(const fs::path& folder) {
  return Walk().run(folder);
}

}  // namespace convoy
