#include "src/cli/downloads.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/log.h"
#include "src/io/download.h"
#include "src/session/plan_set.h"

namespace convoy {
namespace {

using Clock = std::chrono::steady_clock;

/// A bar on a terminal, a line every ten seconds elsewhere.
class Progress {
 public:
  void begin(const std::string& name) {
    name_ = name;
    start_ = last_ = Clock::now();
  }
  void update(std::int64_t received, std::int64_t total) {
    const std::chrono::duration<double> since = Clock::now() - last_;
    if (since.count() < (terminal_ ? 0.1 : 10.0)) return;
    last_ = Clock::now();
    const double share = total > 0 ? std::min(1.0, double(received) / double(total)) : 0.0;
    const double seconds = std::chrono::duration<double>(last_ - start_).count();
    const std::string text = fmt::format("{} {}{}, {}/s", human_bytes(received), total > 0 ? "of " : "so far",
                                         total > 0 ? human_bytes(total) : "",
                                         human_bytes(static_cast<std::int64_t>(double(received) / seconds)));
    if (!terminal_) return log_info("{}: {}", name_, text);
    constexpr int width = 30;
    const int full = static_cast<int>(share * width);
    fmt::print(stderr, "\r\x1b[K{} [{:#<{}}{:{}}] {}", name_, "", full, "", width - full, text);
    std::fflush(stderr);
    shown_ = true;
  }
  /// Before other lines.
  void clear() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
    shown_ = false;
  }
  ~Progress() { clear(); }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool shown_ = false;
  std::string name_;
  Clock::time_point start_, last_;
};

}  // namespace

struct Downloads::State {
  Progress progress;
  Downloader downloader;
  State(double timeout, const StopRequest& stop) : downloader(options(timeout, stop)) {}

  DownloadOptions options(double timeout, const StopRequest& stop) {
    DownloadOptions options;
    options.timeout = timeout;
    options.pause = timeout / 60;
    options.progress = [this](std::int64_t received, std::int64_t total) {
      progress.update(received, total);
    };
    options.note = [this](const std::string& text) {
      progress.clear();
      log_warn("{}", text);
    };
    options.stop_requested = [&stop] { return stop.made(); };
    return options;
  }
};

Downloads::Downloads(double timeout, const StopRequest& stop)
    : state_(std::make_unique<State>(timeout, stop)) {}
Downloads::~Downloads() = default;

void Downloads::fetch(const std::vector<std::string>& addresses, const std::filesystem::path& path,
                      const std::string& sha256) {
  const std::string name = path.filename().string();
  state_->progress.begin(name);
  state_->downloader.fetch(addresses, path, sha256);
  state_->progress.clear();
  log_info("{}: {}, its SHA-256 is right", name,
           human_bytes(static_cast<std::int64_t>(std::filesystem::file_size(path))));
}

}  // namespace convoy
