#include "core/regular_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path) {
  fail("cannot read {}: {}", path.string(), std::strerror(errno));
}

[[noreturn]] void refuse_kind(const fs::path& path, mode_t mode) {
  fail("cannot read {}: it is {}; name a file", path.string(), kind_of_file(mode));
}

[[noreturn]] void refuse_length(const fs::path& path, std::uint64_t most) {
  fail("cannot read {}: it has more than the {} bytes that such a file may have", path.string(), most);
}

/// Without O_NONBLOCK, opening a pipe would wait for a writer.
FileDescriptor open_without_waiting(const fs::path& path) {
  return FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

struct stat status_of(const FileDescriptor& file, const fs::path& path) {
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) refuse(path);
  return status;
}

/// All of a pipe whose writer is there, or was: it ends when the last one has closed it.
std::string read_pipe(const FileDescriptor& file, const fs::path& path, std::uint64_t most) {
  constexpr int patience = 60;  // seconds
  constexpr std::size_t piece = 1 << 16;
  std::string bytes;
  for (;;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + piece);
    const ssize_t got = ::read(file.get(), bytes.data() + before, piece);
    const int reason = errno;
    bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return bytes;
    if (bytes.size() > most) refuse_length(path, most);
    if (got > 0) continue;
    errno = reason;
    if (errno != EAGAIN && errno != EINTR) refuse(path);
    pollfd more{file.get(), POLLIN, 0};
    const int events = ::poll(&more, 1, patience * 1000);
    if (events < 0 && errno == EINTR) fail("cannot read {}: a signal came before its end", path.string());
    if (events < 0) refuse(path);
    if (events == 0)
      fail("cannot read {}: nothing has come through this pipe for {} s", path.string(), patience);
  }
}

}  // namespace

const char* kind_of_file(mode_t mode) {
  if (S_ISREG(mode)) return "a file";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

FileDescriptor open_regular(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) refuse(path);
  if (!S_ISREG(status.st_mode)) refuse_kind(path, status.st_mode);  // opening a device may change something
  FileDescriptor file = open_without_waiting(path);
  status = status_of(file, path);
  if (!S_ISREG(status.st_mode)) refuse_kind(path, status.st_mode);  // exchanged in between
  return file;
}

RegularFile::RegularFile(fs::path path) : path_(std::move(path)), file_(open_regular(path_)) {
  size_ = static_cast<std::uint64_t>(status_of(file_, path_).st_size);
}

std::size_t RegularFile::read_up_to(std::uint64_t offset, std::span<std::byte> bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::pread(file_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read {} at byte {}: {}", path_.string(), offset + done, std::strerror(errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void RegularFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::size_t done = read_up_to(offset, bytes);
  if (done < bytes.size())
    fail("cannot read {}: it ends at byte {} and had {} when it was opened: somebody has cut it short",
         path_.string(), offset + done, size_);
}

std::string read_file(const fs::path& path, std::uint64_t most) {
  const RegularFile file(path);
  if (file.size() > most) refuse_length(path, most);
  std::string bytes;
  // What came since is read, too; some of the system's files say that they have no bytes.
  for (std::size_t room = file.size() + 1; bytes.size() < room; room = 2 * bytes.size() + 4096) {
    const std::size_t before = bytes.size();
    bytes.resize(room);
    const std::size_t got = file.read_up_to(before, std::as_writable_bytes(std::span(bytes)).subspan(before));
    bytes.resize(before + got);
    if (bytes.size() > most) refuse_length(path, most);
    if (bytes.size() < room) break;
  }
  return bytes;
}

bool is_shell_pipe(const fs::path& path) {
  struct stat status {};
  struct statfs system {};
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode) &&
         ::statfs(path.c_str(), &system) == 0 && system.f_type == PIPEFS_MAGIC;
}

std::string read_named_file(const fs::path& path, std::uint64_t most) {
  if (!is_shell_pipe(path)) return read_file(path, most);
  const FileDescriptor file = open_without_waiting(path);
  if (const mode_t mode = status_of(file, path).st_mode; !S_ISFIFO(mode)) refuse_kind(path, mode);
  return read_pipe(file, path, most);
}

}  // namespace convoy
