#include "src/io/in_use.h"

#include <fcntl.h>

#include <cerrno>

#include "core/error.h"
#include "core/regular_file.h"

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

FileDescriptor open_if_possible(const std::filesystem::path& path) {
  try {
    return open_regular(path);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

FileDescriptor mark_in_use(const std::filesystem::path& path) {
  FileDescriptor file = open_if_possible(path);
  struct flock lock = whole_file(F_RDLCK);
  if (!file || ::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) return {};
  return file;
}

bool is_in_use(const std::filesystem::path& path) {
  const FileDescriptor file = open_if_possible(path);
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
