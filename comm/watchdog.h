// Ends all ranks when one fails: within the time limit, with the reason in the run's folder.
#pragma once

#include <atomic>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "comm/agree.h"
#include "comm/heartbeat.h"
#include "comm/rank_environment.h"
#include "core/reason.h"

namespace convoy {

/// One per process, from the start of MPI to its end, whatever the command. When a rank is lost, every
/// other's watchdog ends its process from the background, by std::_Exit with code 1: the main thread may hang
/// in a collective that never completes, which cannot be unwound. The first witness writes the failure record
/// and names the rank that failed on stderr. Launchers then end what is left, stopped processes included.
/// With one rank there is nothing to watch: only guard() does something.
class Watchdog {
 public:
  /// Collective; throws AgreedError where ranks cannot reach each other.
  Watchdog(const RankEnvironment& ranks, const HeartbeatLimits& limits);
  /// An orderly end: rank 0 waits for that of all others.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Where the record of a failure goes, if the folder is there by then. Removes what an earlier run left.
  /// Collective; throws AgreedError when that is impossible.
  void record_in(const std::filesystem::path& folder);
  /// The folder now belongs to another run: nothing is recorded there any more.
  void record_nowhere();
  void set_device(const std::string& name);
  void set_limits(const HeartbeatLimits& limits);
  /// Ends all ranks with the code for `stopped`, saying what this one was doing: for a request to stop where
  /// there is nothing to save. May be called by any thread.
  [[noreturn]] void stop(const std::string& why);
  /// All is saved, as was asked for: a launcher that passes such a request on kills what has not ended a
  /// moment later, so that ranks which are lost from now on are no fault. This one then ends with the code
  /// for `stopped`.
  void expect_losses() { losses_expected_ = true; }

  /// Runs `work`, which may use whatever this rank shares with others. An error that only this rank knows of
  /// ends all ranks from here, before anything is unwound that a collective may hang in. What all ranks
  /// agreed on is recorded and passes through.
  template <class Work>
  auto guard(Work&& work) {
    try {
      return std::forward<Work>(work)();
    } catch (const AgreedError& error) {
      if (ranks_.is_root() && error.code() == ExitCode::failure) record_agreed(error);
      throw;
    } catch (const Error& error) {
      fail(error.what(), error.code());
      throw;
    } catch (const std::exception& error) {
      fail(reason_of(error), ExitCode::failure);
      throw;
    }
  }

 private:
  /// Does not return where there are several ranks.
  void fail(const std::string& reason, ExitCode code);
  Failure failure_here(const std::string& reason, ExitCode code) const;
  [[noreturn]] void report_and_leave(const Failure& failure);
  void record_agreed(const AgreedError& error) const;
  [[noreturn]] void leave(const Failure& failure, bool first_hand) const;
  RecordOutcome record(const Failure& failure) const;

  const RankEnvironment& ranks_;
  mutable std::mutex mutex_;  ///< of what follows
  std::filesystem::path record_path_;
  std::string device_;
  std::atomic<bool> losses_expected_ = false;
  std::unique_ptr<Heartbeat> heartbeat_;  ///< none with one rank
};

}  // namespace convoy
