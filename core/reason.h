// Why something failed, in a sentence for people.
#pragma once

#include <exception>
#include <filesystem>
#include <string>

namespace convoy {

/// What an exception says. The standard library's own sentence about a file ("filesystem error: status: ...")
/// becomes the file and the system's reason, so that no call of std::filesystem has to be wrapped for it.
inline std::string reason_of(const std::exception& error) {
  const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error);
  if (!file) return error.what();
  std::string files = file->path1().string();
  if (!file->path2().empty()) files += " or " + file->path2().string();
  return (files.empty() ? "a file" : files) + ": " + file->code().message();
}

}  // namespace convoy
