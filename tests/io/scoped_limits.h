// What a disk can do to a process: fill up, forbid.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace convoy::testing {

/// Files of this process cannot grow beyond so many bytes: as on a disk that fills up.
class ScopedFileSizeLimit {
 public:
  explicit ScopedFileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~ScopedFileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  ScopedFileSizeLimit(const ScopedFileSizeLimit&) = delete;
  ScopedFileSizeLimit& operator=(const ScopedFileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// Another user than root, where tests run as root: root may write to what is read-only.
class ScopedUnprivileged {
 public:
  ScopedUnprivileged() : was_root_(geteuid() == 0) {
    if (was_root_ && seteuid(nobody) != 0) was_root_ = false;
  }
  ~ScopedUnprivileged() {
    if (was_root_ && seteuid(0) != 0) std::abort();
  }
  ScopedUnprivileged(const ScopedUnprivileged&) = delete;
  ScopedUnprivileged& operator=(const ScopedUnprivileged&) = delete;
  static bool is_effective() { return geteuid() != 0; }

 private:
  static constexpr uid_t nobody = 65534;
  bool was_root_;
};

}  // namespace convoy::testing
