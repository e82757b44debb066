#include "src/cli/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace convoy {

void hold_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // open() gives the lowest number, this one. Open for reading, a standard output refuses what is written.
    if (::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
      fail("descriptor {} is closed and /dev/null cannot stand in for it: {}", fd, std::strerror(errno));
  }
}

void flush_output() {
  const bool lost = std::ferror(stdout) != 0;
  if (std::fflush(stdout) != 0) fail("cannot write everything to standard output: {}", std::strerror(errno));
  if (lost) fail("cannot write everything to standard output: an earlier part is missing");
}

bool reader_of_output_is_gone() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return std::ferror(stdout) != 0 && ::poll(&output, 1, 0) == 1 &&
         (output.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace convoy
