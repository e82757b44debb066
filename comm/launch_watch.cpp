#include "comm/launch_watch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "comm/departure.h"
#include "comm/rank_environment.h"
#include "core/printable.h"
#include "core/signal_block.h"

namespace convoy {
namespace {

using std::chrono::duration_cast;
using namespace std::chrono_literals;

constexpr Seconds longest_launch = 10min;

/// Between two looks.
Seconds period_for(Seconds limit) {
  return std::clamp<Seconds>(limit / 20, 100ms, 500ms);
}

std::string name_of(const LocalRank& rank) {
  return rank.rank ? fmt::format("rank {}", *rank.rank) : "a rank that has just been started";
}

}  // namespace

LaunchWatch::LaunchWatch(Seconds limit) : limit_(limit) {
  const SignalBlock block;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

LaunchWatch::~LaunchWatch() = default;

void LaunchWatch::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  Clock::time_point last = Clock::now();
  while (true) {
    wake_.wait_for(lock, stop, period_for(limit_), [] { return false; });
    if (stop.stop_requested()) return;
    const Clock::time_point now = Clock::now();
    if (now - last > limit_ / 2) stopped_since_.clear();  // this rank itself was stopped
    last = now;
    judge(now);
  }
}

void LaunchWatch::judge(Clock::time_point now) {
  const std::vector<LocalRank> others = ranks_.others();
  for (const LocalRank& other : others) {
    if (!other.stopped) {
      stopped_since_.erase(other.pid);
    } else if (now - stopped_since_.emplace(other.pid, now).first->second >= limit_) {
      end(others, format_printable("{} on host {} (pid {}) failed while launching: stopped for {:.3g} s "
                                   "(distributed.timeout); all ranks end here",
                                   name_of(other), host_name(), other.pid, limit_.count()));
    }
  }
  if (const Seconds most = std::max(limit_, longest_launch); now - begin_ >= most) {
    end(others,
        format_printable("not all ranks have come within {:.3g} s of launching; host {} waits for ranks "
                         "of other hosts",
                         most.count(), host_name()));
  }
}

/// The first rank of the host that is not stopped reports; the others wait for its message.
void LaunchWatch::end(const std::vector<LocalRank>& others, const std::string& message) const {
  const bool speaks = std::none_of(others.begin(), others.end(), [](const LocalRank& other) {
    return !other.stopped && other.pid < ::getpid();
  });
  if (speaks) std::fprintf(stderr, "error: %s\n", message.c_str());
  if (!speaks) std::this_thread::sleep_for(period_for(limit_) + 200ms);
  std::vector<ProcessIdentity> stopped;
  for (const LocalRank& other : others)
    if (other.stopped) stopped.push_back(process_of(other.pid));
  depart(stopped, ExitCode::failure);
}

}  // namespace convoy
