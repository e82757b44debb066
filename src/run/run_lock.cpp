#include "src/run/run_lock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <system_error>

#include "core/error.h"
#include "core/log.h"
#include "core/signal_block.h"
#include "src/run/lock_record.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* lock_name = "run.lock";

double seconds_of(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

/// Makes the folders that are missing and returns them, the innermost first. Another run that ends may remove
/// one of them meanwhile.
std::vector<fs::path> make_folders(const fs::path& folder) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path path = folder; !path.empty() && !fs::exists(path, error) && !error; path = path.parent_path())
    missing.push_back(path);
  fs::create_directories(folder, error);
  std::error_code other;
  if (error && fs::is_symlink(folder, other) && !fs::exists(folder, other))
    fail(
        "the run's folder {} is a symbolic link that leads to no folder: make that, or name another one by "
        "--output",
        folder.string());
  if (error && !fs::is_directory(folder, other))
    fail("cannot create the run's folder {}: {}; --output names another", folder.string(), error.message());
  return missing;
}

void remove_empty(const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders) ::rmdir(folder.c_str());
}

/// Waits for the lock of a folder that another run has locked, and takes it.
class Contender {
 public:
  Contender(fs::path lock, std::string text, const LockTimes& times, const std::function<bool()>& stop)
      : lock_(std::move(lock)), text_(std::move(text)), times_(times), stop_(stop) {}

  /// Makes `path`, the lock or the right to replace one, this process's.
  void take(const fs::path& path) {
    std::optional<LockFile> last;
    Clock::time_point last_change = Clock::now();
    bool is_renewed = false;  // renewed so late that the owner is not about to end
    while (!make_lock_file(path, text_)) {
      const std::optional<LockFile> found = read_lock_file(path);
      if (!found) continue;  // just released
      if (found->text == text_) return;
      const bool is_news = last != found;
      if (is_news) {
        last_change = Clock::now();
        is_renewed = last && last->text == found->text && last_change - start_ >= times_.patience;
        last = found;
      }
      const std::optional<LockRecord> owner = lock_record_in(found->text);
      const ProcessState state = owner ? state_of(*owner) : ProcessState::unknown;
      const milliseconds limit = times_.silent_refreshes * (owner ? owner->refresh : times_.refresh);
      const bool is_silent = state == ProcessState::unknown && Clock::now() - last_change >= limit;
      if (state == ProcessState::gone || is_silent) {
        if (replace(path, *found, owner)) return;
      } else {
        const bool outlasts = state == ProcessState::alive && Clock::now() - start_ >= times_.patience;
        if (outlasts || is_renewed) refuse(owner);
        if (owner || !is_news) announce(owner, state, limit);  // one without words may just be written
      }
      pause();
    }
  }

 private:
  /// The lock of a dead owner. False where another run was faster.
  bool replace(const fs::path& path, const LockFile& found, const std::optional<LockRecord>& owner) {
    const fs::path right = fmt::format(
        "{}.{}", lock_.string(),
        owner ? owner->token : fmt::format("{:x}-{:x}{:08x}", found.inode, found.seconds, found.nanoseconds));
    take(right);
    if (read_lock_file(path) != found) {
      ::unlink(right.c_str());
      return false;
    }
    if (::rename(right.c_str(), path.c_str()) != 0) {
      if (errno == ENOENT) return false;  // this process was taken for dead
      const int reason = errno;
      ::unlink(right.c_str());
      fail("cannot take over the lock {}: {}", path.string(), std::strerror(reason));
    }
    if (path == lock_) {
      log_warn("{}: the previous run ended without releasing its lock ({}); this run takes it over",
               path.parent_path().string(), owner ? describe(*owner) : "its lock is damaged");
    }
    const std::optional<LockFile> now = read_lock_file(path);
    return now && now->text == text_;
  }

  void announce(const std::optional<LockRecord>& owner, ProcessState state, milliseconds limit) {
    if (announced_) return;
    announced_ = true;
    const std::string name = owner ? describe(*owner) : "its lock is damaged";
    if (state == ProcessState::alive) {
      log_info("{} belongs to another run ({}): waiting {:.0f} s for its end", folder(), name,
               seconds_of(times_.patience));
    } else {
      log_info(
          "{} belongs to another run ({}), whose process cannot be seen from here: looking for a sign of "
          "life for {:.0f} s",
          folder(), name, seconds_of(limit));
    }
  }

  [[noreturn]] void refuse(const std::optional<LockRecord>& owner) const {
    fail(
        "{} belongs to another run that is under way ({}): wait for its end, stop it there, or choose "
        "another "
        "folder by --output",
        folder(), owner ? describe(*owner) : "it renews " + lock_.string());
  }

  void pause() const {
    if (stop_ && stop_())
      throw Error(format_printable("stopped on request while waiting for the lock of {}", folder()),
                  ExitCode::stopped);
    std::this_thread::sleep_for(std::min<milliseconds>(times_.refresh / 8, milliseconds(200)));
  }

  std::string folder() const { return lock_.parent_path().string(); }

  const fs::path lock_;
  const std::string text_;
  const LockTimes& times_;
  const std::function<bool()>& stop_;
  const Clock::time_point start_ = Clock::now();
  bool announced_ = false;
};

/// Removes rights to replace earlier locks that killed processes have left. Their tokens never repeat.
void remove_rights(const fs::path& lock) {
  const std::string prefix = lock.filename().string() + ".";
  std::error_code error;
  for (auto it = fs::directory_iterator(lock.parent_path(), error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (it->path().filename().string().starts_with(prefix)) ::unlink(it->path().c_str());
  }
}

}  // namespace

RunLock::RunLock(const fs::path& folder, const std::string& host, const std::function<bool()>& stop_requested,
                 LockTimes times)
    : path_(folder / lock_name),
      times_(times),
      text_(to_text(own_lock_record(host, times.refresh))),
      made_(make_folders(folder)) {
  try {
    Contender(path_, text_, times_, stop_requested).take(path_);
  } catch (...) {
    remove_empty(made_);
    throw;
  }
  remove_rights(path_);
  const SignalBlock block;
  thread_ = std::jthread([this](const std::stop_token& stop) { keep_fresh(stop); });
}

RunLock::~RunLock() {
  thread_.request_stop();
  thread_.join();
  if (!is_ours()) return;
  ::unlink(path_.c_str());
  remove_empty(made_);
}

void RunLock::keep_fresh(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!lost_) {
    lost_ = !renew_lock_file(path_, text_);
    if (stopping_.wait_for(lock, stop, times_.refresh, [] { return false; }) || stop.stop_requested()) return;
  }
}

bool RunLock::is_ours() const {
  const std::lock_guard lock(mutex_);
  lost_ = lost_ || !renew_lock_file(path_, text_);
  return !lost_;
}

void RunLock::restore() const {
  if (!read_lock_file(path_)) make_lock_file(path_, text_);  // another run may be faster, as is_ours() tells
}

void RunLock::require_ours() const {
  if (is_ours()) return;
  std::string name = "its lock says no more";
  if (const std::optional<LockFile> found = read_lock_file(path_)) {
    if (const std::optional<LockRecord> owner = lock_record_in(found->text)) name = describe(*owner);
  }
  fail(
      "another run has taken over {} ({}), as nothing was heard of this one for too long: this run ends and "
      "writes nothing more there",
      path_.parent_path().string(), name);
}

}  // namespace convoy
