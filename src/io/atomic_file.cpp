#include "src/io/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/regular_file.h"

namespace convoy {
namespace {

FileDescriptor open_file(const std::filesystem::path& path, int flags) {
  return FileDescriptor(::open(path.c_str(), flags | O_CLOEXEC, 0644));
}

[[noreturn]] void fail_with_errno(const char* what, const std::filesystem::path& path) {
  fail("cannot {} {}: {}", what, path.string(), std::strerror(errno));
}

/// Calls put(pointer, bytes left) until nothing is left. False, with errno set, when it fails.
template <class Put>
bool put_all(std::span<const std::byte> bytes, Put put) {
  while (!bytes.empty()) {
    const ssize_t n = put(bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

bool write_all(int fd, std::span<const std::byte> bytes) {
  return put_all(bytes, [fd](const std::byte* data, std::size_t n) { return ::write(fd, data, n); });
}

/// So that a file that is new in it, or renamed, is still there after a power cut.
void sync_folder_of(const std::filesystem::path& path) {
  const FileDescriptor folder =
      open_file(path.has_parent_path() ? path.parent_path() : ".", O_RDONLY | O_DIRECTORY);
  if (!folder || ::fsync(folder.get()) != 0) fail_with_errno("flush the folder of", path);
}

/// Why no file may be made under this name, wherever its links lead; null where one may.
const char* not_for_files(std::filesystem::path path) {
  constexpr auto proc = 0x9fa0;  // PROC_SUPER_MAGIC
  std::error_code error;
  for (int links = 0; links < 40; ++links) {
    const std::filesystem::path folder =
        std::filesystem::canonical(path.has_parent_path() ? path.parent_path() : ".", error);
    struct statfs system {};
    if (error || ::statfs(folder.c_str(), &system) != 0) return nullptr;
    if (system.f_type == proc) return "it is no file on a disk but an open file or another part of a process";
    if (folder == "/dev") return "/dev is for devices";
    const std::filesystem::path target = std::filesystem::read_symlink(folder / path.filename(), error);
    if (error) return nullptr;
    path = folder / target;
  }
  return nullptr;
}

/// The file that an output of this name replaces: the name itself, or what a symbolic link leads to. Throws
/// Error for what is there and no regular file, such as a device or a folder.
std::filesystem::path replaceable(const std::filesystem::path& path) {
  if (const char* what = not_for_files(path)) fail("cannot write {}: {}; name a file", path.string(), what);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return path;  // nothing there, or open() says what is wrong
  if (!S_ISLNK(status.st_mode)) {
    if (!S_ISREG(status.st_mode))
      fail("cannot write {}: it is {}; {}", path.string(), kind_of_file(status.st_mode),
           S_ISDIR(status.st_mode) ? "move it away, or name another file" : "name a file");
    return path;
  }
  if (::stat(path.c_str(), &status) != 0)
    fail("cannot write {}: it is a symbolic link that leads to no file; remove it or name another file",
         path.string());
  if (!S_ISREG(status.st_mode))
    fail("cannot write {}: it is a symbolic link to {}; name a file", path.string(),
         kind_of_file(status.st_mode));
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  if (error) fail("cannot write {}: {}", path.string(), error.message());
  return target;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(replaceable(path)), unfinished_(create_unfinished(path_)) {
  remove_abandoned(path_.parent_path(), path_.filename().string());
}

AtomicFile::~AtomicFile() {
  if (!renamed_) ::unlink(unfinished_.path.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (!write_all(unfinished_.file.get(), bytes)) fail_with_errno("write", unfinished_.path);
}

void AtomicFile::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  const bool done = put_all(bytes, [&](const std::byte* data, std::size_t n) {
    const ssize_t put = ::pwrite(unfinished_.file.get(), data, n, static_cast<off_t>(offset));
    if (put > 0) offset += static_cast<std::uint64_t>(put);
    return put;
  });
  if (!done) fail_with_errno("write", unfinished_.path);
}

void AtomicFile::commit() {
  if (::fsync(unfinished_.file.get()) != 0) fail_with_errno("flush", unfinished_.path);
  if (::rename(unfinished_.path.c_str(), path_.c_str()) != 0)
    fail("cannot rename {} to {}: {}", unfinished_.path.string(), path_.string(), std::strerror(errno));
  renamed_ = true;
  sync_folder_of(path_);
}

void write_file_atomically(const std::filesystem::path& path, const std::string& bytes) {
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(bytes)));
  file.commit();
}

std::uint64_t append_to_file(const std::filesystem::path& path, const std::string& bytes, Sync sync) {
  const FileDescriptor file =
      open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY);  // never waits
  struct stat before {};
  if (!file || ::fstat(file.get(), &before) != 0) fail_with_errno("write", path);
  if (!S_ISREG(before.st_mode))
    fail("cannot write {}: it is {}; remove it", path.string(), kind_of_file(before.st_mode));
  const bool written = write_all(file.get(), std::as_bytes(std::span(bytes))) &&
                       (sync == Sync::no || ::fsync(file.get()) == 0);
  if (!written) {
    const int reason = errno;
    if (::ftruncate(file.get(), before.st_size) != 0)
      fail("cannot write {}: {}; its last line is cut short", path.string(), std::strerror(reason));
    errno = reason;
    fail_with_errno("write", path);
  }
  if (sync == Sync::yes && before.st_size == 0) sync_folder_of(path);
  return static_cast<std::uint64_t>(before.st_size) + bytes.size();
}

}  // namespace convoy
