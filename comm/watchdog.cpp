#include "comm/watchdog.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "src/core/log.h"

namespace convoy {
namespace {

/// From here on this process ends, whatever happens: a file system that hangs, a pipe that nobody reads.
void set_last_deadline(unsigned seconds) {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGALRM, &standard, nullptr);
  ::alarm(seconds);
}

}  // namespace

Watchdog::Watchdog(const RankEnvironment& ranks, const HeartbeatLimits& limits) : ranks_(ranks) {
  if (ranks.size() == 1) return;
  MeetingPoint point{};
  agree(ranks, [&] {
    heartbeat_ = std::make_unique<Heartbeat>(
        ranks.rank(), ranks.size(), ranks.host(), limits, ranks.activity(),
        [this](const Failure& failure, bool first_hand) { leave(failure, first_hand); });
    if (ranks.is_root()) point = heartbeat_->open(ranks.size() == ranks.local_size());
  });
  ranks.broadcast(&point, sizeof point);
  agree(ranks, [&] { heartbeat_->meet(point, limits.silence); });
}

Watchdog::~Watchdog() = default;

void Watchdog::record_in(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "failure.json";
  agree(ranks_, [&] {
    std::error_code error;
    if (ranks_.local_rank() == 0) std::filesystem::remove(path, error);
    if (error) convoy::fail("cannot remove {}: {}", path.string(), error.message());
  });
  const std::lock_guard lock(mutex_);
  record_path_ = path;
}

void Watchdog::record_nowhere() {
  const std::lock_guard lock(mutex_);
  record_path_.clear();
}

void Watchdog::set_device(const std::string& name) {
  if (heartbeat_) heartbeat_->set_device(name);
  const std::lock_guard lock(mutex_);
  device_ = name;
}

RecordOutcome Watchdog::record(const Failure& failure) const {
  const std::lock_guard lock(mutex_);
  return record_path_.empty() ? RecordOutcome::impossible : write_failure_record(record_path_, failure);
}

void Watchdog::fail(const std::string& reason, ExitCode code) {
  Failure failure;
  failure.rank = failure.witness = ranks_.rank();
  failure.host = ranks_.host();
  failure.step = ranks_.activity().step();
  failure.reason = reason;
  {
    const std::lock_guard lock(mutex_);
    failure.device = device_;
    exit_code_ = static_cast<int>(code);
  }
  if (!heartbeat_) {
    record(failure);
    return;
  }
  log_error("{} (host {})", reason, ranks_.host());
  heartbeat_->report(reason);
  std::this_thread::sleep_for(std::chrono::seconds(3));  // the verdict comes earlier and ends the process
  leave(failure, false);
}

void Watchdog::record_agreed(const AgreedError& error) const {
  Failure failure;
  failure.rank = error.rank();
  failure.host = error.host().empty() ? ranks_.host() : error.host();
  failure.step = ranks_.activity().step();
  failure.reason = error.what();
  record(failure);
}

void Watchdog::leave(const Failure& failure, bool first_hand) const {
  set_last_deadline(2);
  const RecordOutcome outcome = record(failure);
  // One rank speaks: who wrote the record, which may be one that was told; without a record whoever noticed.
  if (outcome == RecordOutcome::written || (first_hand && outcome == RecordOutcome::impossible))
    log_error("{}; all ranks end here", describe(failure));
  int code = 0;
  {
    const std::lock_guard lock(mutex_);
    code = exit_code_;
  }
  std::_Exit(code);
}

}  // namespace convoy
