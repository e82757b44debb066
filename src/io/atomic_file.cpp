#include "src/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "src/core/error.h"

namespace convoy {
namespace {

class FileDescriptor {
 public:
  FileDescriptor(const std::filesystem::path& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail_with_errno(const char* what, const std::filesystem::path& path) {
  fail("cannot {} {}: {}", what, path.string(), std::strerror(errno));
}

void write_and_sync(const std::filesystem::path& path, const std::string& bytes) {
  const FileDescriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0) fail_with_errno("create", path);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_with_errno("write", path);
    done += static_cast<std::size_t>(n);
  }
  if (::fsync(file.get()) != 0) fail_with_errno("flush", path);
}

}  // namespace

void write_file_atomically(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  try {
    write_and_sync(temporary, bytes);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail_with_errno("rename", temporary);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
  const FileDescriptor folder(path.has_parent_path() ? path.parent_path() : ".", O_RDONLY | O_DIRECTORY);
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) fail_with_errno("flush the folder of", path);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read {}: {}", path.string(), std::strerror(errno));
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) fail("cannot read {}: {}", path.string(), std::strerror(errno));
  return std::move(text).str();
}

}  // namespace convoy
