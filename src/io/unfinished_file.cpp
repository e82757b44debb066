#include "src/io/unfinished_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "src/io/in_use.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".tmp";
constexpr std::size_t digits = 8;

/// Whether FINAL.XXXXXXXX.tmp, of any FINAL where none is given.
bool is_unfinished_name(std::string_view name, std::string_view final_name) {
  constexpr std::size_t ending = 1 + digits + suffix.size();
  if (name.size() <= ending || !name.ends_with(suffix)) return false;
  const std::string_view begins = name.substr(0, name.size() - ending);
  const std::string_view number = name.substr(begins.size() + 1, digits);
  return (final_name.empty() || begins == final_name) && name[begins.size()] == '.' &&
         number.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Whether the file still has its name, where a writer or a remover that came first may have taken it.
bool is_named(const FileDescriptor& file, const fs::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(file.get(), &open) == 0 && ::lstat(path.c_str(), &named) == 0 && S_ISREG(open.st_mode) &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

void remove_if_abandoned(const fs::path& path) {
  // Asked for by name alone, a file could get its writer, or a living one its name, in between.
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file && lock_alone(file) && is_named(file, path)) ::unlink(path.c_str());
}

}  // namespace

UnfinishedFile create_unfinished(const fs::path& final) {
  std::random_device random;
  for (int attempt = 0; attempt < 100; ++attempt) {
    fs::path path = final;
    path += fmt::format(".{:08x}{}", random(), suffix);
    FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file) {
      if (errno == EEXIST || errno == EINTR) continue;
      fail("cannot create {}: {}", final.string(), std::strerror(errno));
    }
    // Before the lock held, somebody may have taken the file for abandoned. No lock at all, on a file system
    // that has none, is as good: nobody else gets one there.
    const bool is_taken = !lock_alone(file) && errno == EAGAIN;
    if (!is_taken && is_named(file, path)) return {std::move(path), std::move(file)};
    ::unlink(path.c_str());
  }
  fail("cannot create {}: other programs remove its temporary file", final.string());
}

void remove_abandoned(const fs::path& folder, const std::string& final_name) {
  std::error_code error;
  auto entry = fs::directory_iterator(folder.empty() ? "." : folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_unfinished_name(entry->path().filename().string(), final_name)) remove_if_abandoned(entry->path());
  }
}

}  // namespace convoy
