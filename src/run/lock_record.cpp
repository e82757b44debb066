#include "src/run/lock_record.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <random>
#include <string_view>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/number.h"

namespace convoy {
namespace {

constexpr std::string_view title = "lock of a run of convoy\n";
constexpr std::size_t longest = 4096;  ///< bytes of a lock's file that are looked at

/// The rest of the line that begins with `key: `; empty where there is none.
std::string value_of(std::string_view text, const std::string& key) {
  const std::size_t at = text.find("\n" + key + ": ");
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + key.size() + 3);
  return std::string(text.substr(0, text.find('\n')));
}

bool is_token(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

FileDescriptor open_lock_file(const std::filesystem::path& path, int flags) {
  constexpr int always = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;  // no link, no pipe that opens for ever
  FileDescriptor file;
  do file = FileDescriptor(::open(path.c_str(), flags | always, 0644));
  while (!file && errno == EINTR);
  return file;
}

[[noreturn]] void refuse(const std::filesystem::path& path, const char* what) {
  fail("{} {}, not the lock of a run: remove it, or name another --output", path.string(), what);
}

std::optional<LockFile> read_from(const FileDescriptor& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return std::nullopt;
  LockFile found{{}, status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  std::array<char, longest> bytes;
  for (off_t at = 0; found.text.size() < longest; at = static_cast<off_t>(found.text.size())) {
    const ssize_t n = ::pread(file.get(), bytes.data(), longest - found.text.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    found.text.append(bytes.data(), static_cast<std::size_t>(n));
  }
  return found;
}

}  // namespace

LockRecord own_lock_record(const std::string& host, std::chrono::milliseconds refresh) {
  const ProcessIdentity process = own_process();
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::random_device random;
  return {host,
          ::getpid(),
          process.start,
          process.place != 0 ? own_place() : ProcessPlace{},
          fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(now)),
          refresh,
          fmt::format("{:08x}{:08x}", random(), random())};
}

std::string to_text(const LockRecord& record) {
  return fmt::format(
      "{}host: {}\npid: {}\nsince: {}\nprocess start: {}\nboot: {}\npid namespace: {}\nrefresh ms: {}\n"
      "token: {}\n",
      title, printable(record.host), record.pid, record.since, record.process_start, record.place.boot,
      record.place.pid_namespace, record.refresh.count(), record.token);
}

std::optional<LockRecord> lock_record_in(const std::string& text) {
  if (!text.starts_with(title) || !text.ends_with('\n')) return std::nullopt;
  const auto pid = integer_in<std::int64_t>(value_of(text, "pid"), 1, std::numeric_limits<pid_t>::max());
  const auto start = integer_in<std::uint64_t>(value_of(text, "process start"), 0,
                                               std::numeric_limits<std::uint64_t>::max());
  const auto refresh = integer_in<std::int64_t>(value_of(text, "refresh ms"), 10, 60'000);
  const std::string token = value_of(text, "token");
  if (!pid || !start || !refresh || !is_token(token)) return std::nullopt;
  return LockRecord{value_of(text, "host"),
                    *pid,
                    *start,
                    {value_of(text, "boot"), value_of(text, "pid namespace")},
                    value_of(text, "since"),
                    std::chrono::milliseconds(*refresh),
                    token};
}

ProcessState state_of(const LockRecord& record) {
  if (!record.place.is_known() || record.place != own_place()) return ProcessState::unknown;
  return state_of(ProcessIdentity{own_process().place, record.pid, record.process_start});
}

std::string describe(const LockRecord& record) {
  return format_printable("process {} on host {}, since {}", record.pid, record.host, record.since);
}

std::optional<LockFile> read_lock_file(const std::filesystem::path& path) {
  const FileDescriptor file = open_lock_file(path, O_RDONLY);
  if (!file) {
    if (errno == ENOENT || errno == ESTALE) return std::nullopt;
    if (errno == ELOOP) refuse(path, "is a symbolic link");
    fail("cannot read the lock {}: {}; remove it if no run writes there, or name another --output",
         path.string(), std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) == 0 && !S_ISREG(status.st_mode)) refuse(path, "is no regular file");
  std::optional<LockFile> found = read_from(file);
  if (!found && errno != ESTALE) fail("cannot read the lock {}: {}", path.string(), std::strerror(errno));
  return found;
}

bool make_lock_file(const std::filesystem::path& path, const std::string& text) {
  constexpr int anew = O_WRONLY | O_CREAT | O_EXCL;
  FileDescriptor file = open_lock_file(path, anew);
  if (!file && errno == ENOENT) {  // a run that ended has removed the folder that it had made
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    file = open_lock_file(path, anew);
  }
  if (!file) {
    if (errno == EEXIST) return false;
    fail("cannot lock the run's folder by {}: {}; --output names another folder", path.string(),
         std::strerror(errno));
  }
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return true;
  const int reason = written < 0 ? errno : ENOSPC;
  ::unlink(path.c_str());
  fail("cannot lock the run's folder by {}: {}", path.string(), std::strerror(reason));
}

bool renew_lock_file(const std::filesystem::path& path, const std::string& text) {
  const FileDescriptor file = open_lock_file(path, O_RDONLY);  // so that its disk may become read-only
  const std::optional<LockFile> found = file ? read_from(file) : std::nullopt;
  if (!found) return true;
  if (found->text != text && lock_record_in(found->text)) return false;
  ::futimens(file.get(), nullptr);  // best effort
  return true;
}

}  // namespace convoy
