#include "src/run/earlier_run.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <vector>

#include "core/error.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// What trainings and exports write into a run's folder. Checkpoints come first: once they are moved, nothing
/// can resume the earlier run, even if this process is killed in between.
constexpr std::array names{"checkpoints", "metrics.jsonl",   "config.yaml",    "train.log",
                           "tensorboard", "failure.json",    "trace.json",     "model.safetensors",
                           "model.onnx",  "evaluation.json", "evaluation.csv", "confusion.csv"};
constexpr std::size_t by_which_a_run_is_known = 4;  ///< the first of them

/// Anything but an empty folder, which holds nothing to keep, and may be a mount point.
bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found && !fs::is_empty(path, error);
}

/// Makes BASE.1, or the first number that is free. Empty, with errno set, where that is impossible.
fs::path make_numbered(const std::string& base) {
  for (int number = 1;; ++number) {
    fs::path path = fmt::format("{}.{}", base, number);
    if (::mkdir(path.c_str(), 0777) == 0) return path;
    if (errno != EEXIST) return {};
  }
}

/// The folder without "." and ".." at its end, so that a number can be appended.
std::string name_of(const fs::path& folder) {
  const fs::path last = folder.filename();
  std::error_code error;
  if (!last.empty() && last != "." && last != "..") return folder.string();
  return (fs::absolute(folder, error) / "").lexically_normal().parent_path().string();
}

/// False, with errno set, where the first of them cannot be moved. Throws Error where a later one cannot.
bool move_all(const std::vector<const char*>& found, const fs::path& from, const fs::path& to) {
  for (const char* name : found) {
    if (::rename((from / name).c_str(), (to / name).c_str()) == 0) continue;
    if (name == found.front()) return false;
    fail(
        "cannot move {} to {}, where the rest of the earlier run is now: {}; move it there, or name another "
        "folder by --output",
        (from / name).string(), to.string(), std::strerror(errno));
  }
  return true;
}

}  // namespace

std::string set_aside_earlier_run(const fs::path& folder) {
  std::vector<const char*> found;
  bool was_run = false;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!is_there(folder / names[i])) continue;
    found.push_back(names[i]);
    was_run = was_run || i < by_which_a_run_is_known;
  }
  if (!was_run) return {};
  for (const std::string& base : {name_of(folder), (folder / "earlier-run").string()}) {
    const fs::path target = make_numbered(base);
    if (target.empty()) continue;
    if (move_all(found, folder, target)) return target.string();
    const int reason = errno;
    ::rmdir(target.c_str());
    errno = reason;
  }
  fail(
      "cannot move the earlier run in {} out of the way: {}; name another folder by --output, or go on with "
      "it by --resume auto",
      folder.string(), std::strerror(errno));
}

}  // namespace convoy
