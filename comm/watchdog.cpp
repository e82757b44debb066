#include "comm/watchdog.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "comm/departure.h"
#include "core/log.h"

namespace convoy {
namespace {

/// From here on this process ends, even if a file system hangs or no process reads a pipe.
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

void Watchdog::set_limits(const HeartbeatLimits& limits) {
  if (heartbeat_) heartbeat_->set_limits(limits);
}

void Watchdog::fail(const std::string& reason, ExitCode code) {
  const Failure failure = failure_here(reason, code);
  if (!heartbeat_) {
    record(failure);
    return;
  }
  log_error("{} (host {})", reason, ranks_.host());
  report_and_leave(failure);
}

void Watchdog::stop(const std::string& why) {
  const Failure failure = failure_here(why, ExitCode::stopped);
  if (heartbeat_) report_and_leave(failure);
  leave(failure, true);
}

Failure Watchdog::failure_here(const std::string& reason, ExitCode code) const {
  Failure failure;
  failure.rank = failure.witness = ranks_.rank();
  failure.host = ranks_.host();
  failure.process = own_process();
  failure.phase = ranks_.activity().doing();
  failure.step = ranks_.activity().step();
  failure.reason = reason;
  failure.code = code;
  const std::lock_guard lock(mutex_);
  failure.device = device_;
  return failure;
}

void Watchdog::report_and_leave(const Failure& failure) {
  heartbeat_->report(failure.reason, failure.code);
  std::this_thread::sleep_for(std::chrono::seconds(3));  // the verdict comes earlier and ends the process
  leave(failure, false);
}

void Watchdog::record_agreed(const AgreedError& error) const {
  Failure failure = failure_here(error.what(), error.code());
  failure.rank = error.rank();
  if (!error.host().empty()) failure.host = error.host();
  if (failure.rank != ranks_.rank()) {
    failure.process = {};  // unknown here
    failure.device.clear();
  }
  record(failure);
}

void Watchdog::leave(const Failure& failure, bool first_hand) const {
  set_last_deadline(2);
  if (losses_expected_) std::_Exit(static_cast<int>(ExitCode::stopped));
  const bool fault = failure.code != ExitCode::stopped;
  const RecordOutcome outcome = fault ? record(failure) : RecordOutcome::impossible;
  // One rank speaks: who wrote the record, which may be one that was told; without a record whoever noticed.
  if (outcome == RecordOutcome::impossible && first_hand && failure.rank == 0 && failure.witness > 1) {
    // Where all others miss rank 0, the first of them speaks, and its end is that of the rest.
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  }
  const bool speaks =
      outcome == RecordOutcome::written || (first_hand && outcome == RecordOutcome::impossible);
  if (speaks && fault) log_error("{}; all ranks end here", describe(failure));
  if (speaks && !fault)
    log_warn("{}",
             ranks_.size() > 1 ? describe(failure) + "; all ranks end here" : "stopped " + failure.reason);
  depart({failure.process}, failure.code);
}

}  // namespace convoy
