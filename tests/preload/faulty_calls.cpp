// A library to be preloaded into the program: at the n-th call of a kind it kills a process, or lets the call
// fail. So tests try every moment at which a run can die, and every call that can go wrong, without a line in
// the program.
//
//   FAULTY_CALL    which calls count: a name such as "write", "save" (all that change files), "any"
//   FAULTY_NTH     at which of them, from 1; 0: none, to count them
//   FAULTY_DO      kill-before, kill-after, or the number of an error with which the call fails
//   FAULTY_WHOM    whom to kill: self (default), launcher (the parent), sibling (another child of the parent)
//   FAULTY_RANK    the rank whose calls count (default: any)
//   FAULTY_BELOW   only calls on files whose path begins so, or whose descriptor leads to one (default: all)
//   FAULTY_COUNTS  a file to which "NAME CALLS" of every kind is written at the end
//
// Only what happens in the main program counts: a program that it starts (dlopen'ed MPI aside) runs without
// it.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// What each call is counted as; the last is their number.
enum Call {
  open_call,
  read_call,
  pread_call,
  write_call,
  pwrite_call,
  writev_call,
  fsync_call,
  rename_call,
  unlink_call,
  mkdir_call,
  ftruncate_call,
  stat_call,
  opendir_call,
  mmap_call,
  close_call,
  socket_call,
  bind_call,
  listen_call,
  connect_call,
  accept_call,
  send_call,
  recv_call,
  poll_call,
  pipe_call,
  eventfd_call,
  thread_call,
  fopen_call,
  calls
};
constexpr const char* names[calls] = {"open",   "read",   "pread", "write",     "pwrite",  "writev",  "fsync",
                                      "rename", "unlink", "mkdir", "ftruncate", "stat",    "opendir", "mmap",
                                      "close",  "socket", "bind",  "listen",    "connect", "accept",  "send",
                                      "recv",   "poll",   "pipe",  "eventfd",   "thread",  "fopen"};

bool changes_files(int call, bool creates) {
  switch (call) {
    case open_call:
      return creates;
    case write_call:
    case pwrite_call:
    case writev_call:
    case fsync_call:
    case rename_call:
    case unlink_call:
    case mkdir_call:
    case ftruncate_call:
      return true;
    default:
      return false;
  }
}

const char* variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? value : otherwise;
}

struct Plan {
  Plan() {
    const char* wanted = variable("FAULTY_CALL", "");
    any = std::strcmp(wanted, "any") == 0;
    save = std::strcmp(wanted, "save") == 0;
    for (int call = 0; call < calls; ++call)
      if (std::strcmp(wanted, names[call]) == 0) which = call;
    nth = std::atol(variable("FAULTY_NTH", "0"));
    const char* what = variable("FAULTY_DO", "0");
    kill_before = std::strcmp(what, "kill-before") == 0;
    kill_after = std::strcmp(what, "kill-after") == 0;
    error = std::atoi(what);
    whom = variable("FAULTY_WHOM", "self");
    below = variable("FAULTY_BELOW", "");
    counts = variable("FAULTY_COUNTS", nullptr);
    const char* rank = variable("OMPI_COMM_WORLD_RANK", variable("PMI_RANK", "0"));
    mine = std::strcmp(variable("FAULTY_RANK", rank), rank) == 0;
    unsetenv("LD_PRELOAD");  // for what the program starts
    ready = true;
  }
  ~Plan() {
    ready = false;
    if (!counts || !mine) return;
    char text[64 * calls];
    int length = 0;
    for (int call = 0; call < calls; ++call)
      length += std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), "%s %ld\n",
                              names[call], count[call].load());
    length += std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), "save %ld\n",
                            saves.load());
    const long fd = syscall(SYS_openat, AT_FDCWD, counts, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    syscall(SYS_write, fd, text, length);
    syscall(SYS_close, fd);
  }

  bool any = false, save = false, kill_before = false, kill_after = false, mine = false;
  int which = -1, error = 0;
  long nth = 0;
  const char *whom, *below, *counts;
  std::atomic<long> count[calls] = {}, saves = 0, seen = 0;
  static inline std::atomic<bool> ready =
      false;  // false also before the constructor and after the destructor
};
Plan plan;

/// Sends SIGKILL to whom the plan names. A sibling is looked for among the parent's children.
void strike() {
  pid_t target = getpid();
  if (std::strcmp(plan.whom, "launcher") == 0) target = getppid();
  if (std::strcmp(plan.whom, "sibling") == 0) {
    char text[512];
    std::snprintf(text, sizeof text, "/proc/%d/task/%d/children", getppid(), getppid());
    const long fd = syscall(SYS_openat, AT_FDCWD, text, O_RDONLY, 0);
    const long length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    text[length > 0 ? length : 0] = '\0';
    for (char *word = text, *end; (target = static_cast<pid_t>(std::strtol(word, &end, 10))) > 0; word = end)
      if (target != getpid()) break;
    if (target <= 0) return;
  }
  kill(target, SIGKILL);
}

bool is_below(const char* path, int fd) {
  const std::size_t length = std::strlen(plan.below);
  if (length == 0) return true;
  char link[64], target[4096];
  if (!path) {
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const long size = syscall(SYS_readlinkat, AT_FDCWD, link, target, sizeof target - 1);
    if (size <= 0) return false;
    target[size] = '\0';
    path = target;
  }
  return std::strncmp(path, plan.below, length) == 0;
}

/// Counts one call; true when it is the one.
bool is_the_one(int call, const char* path, int fd, bool creates) {
  if (!Plan::ready || !plan.mine || !is_below(path, fd)) return false;
  ++plan.count[call];
  const bool saves = changes_files(call, creates);
  if (saves) ++plan.saves;
  if (!(plan.any || (plan.save && saves) || plan.which == call)) return false;
  return ++plan.seen == plan.nth;
}

/// The next definition of a function behind this library's.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

/// Calls `function`, unless it is this call's turn to fail. What a caller gets then is `failed`.
template <class Result, class Function>
Result faulty(int call, Result failed, const char* path, int fd, bool creates, Function function) {
  const bool now = is_the_one(call, path, fd, creates);
  if (now && plan.kill_before) strike();
  if (now && plan.error > 0) {
    errno = plan.error;
    return failed;
  }
  const Result result = function();
  if (now && plan.kill_after) {
    const int saved = errno;
    strike();
    errno = saved;
  }
  return result;
}

mode_t mode_of(int flags, std::va_list list) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

}  // namespace

extern "C" {

#define OPEN(name)                                                                                           \
  int name(const char* path, int flags, ...) {                                                               \
    std::va_list list;                                                                                       \
    va_start(list, flags);                                                                                   \
    const mode_t mode = mode_of(flags, list);                                                                \
    va_end(list);                                                                                            \
    static auto* const real = next<int(const char*, int, ...)>(#name);                                       \
    return faulty(open_call, -1, path, -1, (flags & O_CREAT) != 0, [&] { return real(path, flags, mode); }); \
  }                                                                                                          \
  static_assert(true)
OPEN(open);
OPEN(open64);

// Calls with a descriptor first, and with a path first.
#define BY_FD(call, result, name, parameters, arguments)                                              \
  result name parameters {                                                                            \
    static auto* const real = next<result parameters>(#name);                                         \
    return faulty(call, static_cast<result>(-1), nullptr, fd, false, [&] { return real arguments; }); \
  }                                                                                                   \
  static_assert(true)
#define BY_PATH(call, result, failed, name, parameters, arguments)                                    \
  result name parameters {                                                                            \
    static auto* const real = next<result parameters>(#name);                                         \
    return faulty(call, static_cast<result>(failed), path, -1, true, [&] { return real arguments; }); \
  }                                                                                                   \
  static_assert(true)

BY_FD(read_call, ssize_t, read, (int fd, void* data, size_t n), (fd, data, n));
BY_FD(pread_call, ssize_t, pread, (int fd, void* data, size_t n, off_t at), (fd, data, n, at));
BY_FD(pread_call, ssize_t, pread64, (int fd, void* data, size_t n, off64_t at), (fd, data, n, at));
BY_FD(write_call, ssize_t, write, (int fd, const void* data, size_t n), (fd, data, n));
BY_FD(pwrite_call, ssize_t, pwrite, (int fd, const void* data, size_t n, off_t at), (fd, data, n, at));
BY_FD(pwrite_call, ssize_t, pwrite64, (int fd, const void* data, size_t n, off64_t at), (fd, data, n, at));
BY_FD(writev_call, ssize_t, writev, (int fd, const iovec* parts, int n), (fd, parts, n));
BY_FD(fsync_call, int, fsync, (int fd), (fd));
BY_FD(fsync_call, int, fdatasync, (int fd), (fd));
BY_FD(ftruncate_call, int, ftruncate, (int fd, off_t size) noexcept, (fd, size));
BY_FD(ftruncate_call, int, ftruncate64, (int fd, off64_t size) noexcept, (fd, size));
BY_FD(close_call, int, close, (int fd), (fd));
BY_FD(bind_call, int, bind, (int fd, const sockaddr* to, socklen_t n) noexcept, (fd, to, n));
BY_FD(listen_call, int, listen, (int fd, int n) noexcept, (fd, n));
BY_FD(connect_call, int, connect, (int fd, const sockaddr* to, socklen_t n), (fd, to, n));
BY_FD(accept_call, int, accept4, (int fd, sockaddr* from, socklen_t* n, int flags), (fd, from, n, flags));
BY_FD(send_call, ssize_t, send, (int fd, const void* data, size_t n, int flags), (fd, data, n, flags));
BY_FD(recv_call, ssize_t, recv, (int fd, void* data, size_t n, int flags), (fd, data, n, flags));
BY_FD(stat_call, int, fstat, (int fd, struct stat* into) noexcept, (fd, into));

BY_PATH(rename_call, int, -1, rename, (const char* path, const char* to) noexcept, (path, to));
BY_PATH(unlink_call, int, -1, unlink, (const char* path) noexcept, (path));
BY_PATH(unlink_call, int, -1, remove, (const char* path) noexcept, (path));
BY_PATH(mkdir_call, int, -1, mkdir, (const char* path, mode_t mode) noexcept, (path, mode));
BY_PATH(stat_call, int, -1, stat, (const char* path, struct stat* into) noexcept, (path, into));
BY_PATH(stat_call, int, -1, lstat, (const char* path, struct stat* into) noexcept, (path, into));
BY_PATH(opendir_call, DIR*, nullptr, opendir, (const char* path), (path));
BY_PATH(fopen_call, FILE*, nullptr, fopen, (const char* path, const char* mode), (path, mode));
BY_PATH(fopen_call, FILE*, nullptr, fopen64, (const char* path, const char* mode), (path, mode));

int unlinkat(int folder, const char* path, int flags) noexcept {
  static auto* const real = next<int(int, const char*, int)>("unlinkat");
  return faulty(unlink_call, -1, nullptr, folder, false, [&] { return real(folder, path, flags); });
}
void* mmap(void* at, size_t n, int protection, int flags, int fd, off_t from) noexcept {
  return faulty(mmap_call, MAP_FAILED, nullptr, fd, false, [&] {
    return reinterpret_cast<void*>(syscall(SYS_mmap, at, n, protection, flags, fd, from));
  });
}
int socket(int domain, int type, int protocol) noexcept {
  static auto* const real = next<int(int, int, int)>("socket");
  return faulty(socket_call, -1, nullptr, -1, false, [&] { return real(domain, type, protocol); });
}
int poll(pollfd* list, nfds_t n, int wait) {
  static auto* const real = next<int(pollfd*, nfds_t, int)>("poll");
  return faulty(poll_call, -1, nullptr, -1, false, [&] { return real(list, n, wait); });
}
int pipe2(int* ends, int flags) noexcept {
  static auto* const real = next<int(int*, int)>("pipe2");
  return faulty(pipe_call, -1, nullptr, -1, false, [&] { return real(ends, flags); });
}
int eventfd(unsigned value, int flags) noexcept {
  static auto* const real = next<int(unsigned, int)>("eventfd");
  return faulty(eventfd_call, -1, nullptr, -1, false, [&] { return real(value, flags); });
}
int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*what)(void*), void* with) noexcept {
  static auto* const real =
      next<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  return faulty(thread_call, EAGAIN, nullptr, -1, false, [&] { return real(thread, how, what, with); });
}

}  // extern "C"
