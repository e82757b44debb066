#include "src/io/in_use.h"

#include <fcntl.h>

#include <cerrno>

namespace convoy {
namespace {

// A lock for reading, on a file that is open for reading, so that its disk can still become read-only. Not
// flock(): on NFS that needs a file open for writing, and who asks would have to take the lock for a moment.
struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

FileDescriptor open_for_reading(const std::filesystem::path& path) {
  return FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

FileDescriptor mark_in_use(const std::filesystem::path& path) {
  FileDescriptor file = open_for_reading(path);
  struct flock lock = whole_file(F_RDLCK);
  if (!file || ::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) return {};
  return file;
}

bool is_in_use(const std::filesystem::path& path) {
  const FileDescriptor file = open_for_reading(path);
  struct flock lock = whole_file(F_WRLCK);  // asks what would be in its way
  return file && ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool lock_alone(const FileDescriptor& file) {
  struct flock lock = whole_file(F_WRLCK);
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EACCES) errno = EAGAIN;  // POSIX allows both
  return false;
}

}  // namespace convoy
