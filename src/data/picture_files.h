// Which files of a folder are pictures: one rule for training, evaluation, packing and predict.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace convoy {

/// What lies in a folder, by name; what begins with a dot is left out. Links count as what they lead to.
struct FolderEntry {
  enum class Kind { folder, file, dangling_link, other } kind = Kind::other;
  std::filesystem::path path;
};
/// Throws Error where the folder cannot be read.
std::vector<FolderEntry> entries_of(const std::filesystem::path& folder);

/// Files that are no pictures, to be told of.
class LeftOut {
 public:
  void add(const FolderEntry& entry);
  void add(const LeftOut& more);
  bool empty() const { return count_ == 0; }
  const std::string& first() const { return first_; }
  /// "a/note.txt and 3 more: left out, no .jpg, ... file<where> (3 .heic, 1 .txt)"; empty where there are
  /// none.
  std::string text(const std::string& where = {}) const;

 private:
  void add_kind(const std::string& kind, int count) { kinds_[kind] += count; }
  std::string first_;
  int count_ = 0;
  std::map<std::string, int> kinds_;
};

struct FoundPictures {
  std::vector<std::string> files;  ///< within the folder, in the order of names: "1.jpg", "more/2.jpg"
  std::int64_t deeper = 0;         ///< of these, in folders within the folder
  LeftOut others;
  std::vector<std::string> unreadable;  ///< what is wrong with each folder that cannot be read
};

/// The pictures of a folder and of those within it, at any depth: regular files whose names have the ending
/// of a picture (src/io/image_format.h). Links to files and folders are followed, but not to a folder that
/// they lie in.
FoundPictures find_pictures(const std::filesystem::path& folder);

}  // namespace convoy
