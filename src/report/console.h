// The output of a run for people: a progress bar on a terminal, lines in a file, and signs of life during
// long phases.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "comm/rank_environment.h"
#include "core/file_descriptor.h"
#include "core/repeated_failure.h"
#include "src/report/step_progress.h"

namespace convoy {

/// Silent on all ranks but rank 0. There a thread watches RankEnvironment::activity(). On a terminal it
/// updates the last line; elsewhere it writes the current activity after `log_every` seconds without a line.
/// If standard output cannot be written, for instance because its reader has ended, that is a warning and the
/// run goes on.
class Console {
 public:
  /// `log_every`: seconds between two lines of progress; 0: none.
  Console(const RankEnvironment& ranks, double log_every);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// Adds all lines to this file, too, those from before this call first. Marks it as in use
  /// (src/io/in_use.h), so that other processes see that the run is going on.
  void log_to(const std::filesystem::path& path);

  /// Writes a line that stays.
  void line(const std::string& text);
  /// Writes a warning to stderr.
  void warn(const std::string& text);
  void epoch(const EpochRecord& record, int epochs);

  /// An epoch begins: `steps` steps, the first of which Activity counts as `first_step`.
  void begin_epoch(int epoch, int epochs, std::int64_t first_step, std::int64_t steps);
  /// Called after each step: whether it is time for progress().
  bool wants_progress();
  /// Draws the bar, or writes a line if one is due. Returns whether it wrote a line: then metrics.jsonl gets
  /// a record, too.
  bool progress(const StepProgress& progress);

 private:
  using Clock = std::chrono::steady_clock;
  using Lock = std::unique_lock<std::mutex>;
  struct Epoch {
    int epoch = 0, epochs = 0;
    std::int64_t first_step = 0, steps = 0;
  };

  void watch();
  /// "loading data, 12 s", "epoch 1/3  still in step 3 of 100, 24 s".
  std::string status(double seconds) const;
  /// The same on a terminal: within an epoch the bar stays.
  std::string bar_status(double seconds) const;
  void write_line(const Lock&, const std::string& text);
  void write_warning(const Lock&, const std::string& text);
  /// As it is, to standard output; warns where that begins to fail.
  void print(const Lock&, const std::string& text);
  void write_log(const Lock&, const std::string& text);
  void append_log(const Lock&);
  void draw(const Lock&, const std::string& text);
  void clear(const Lock&);

  const RankEnvironment& ranks_;
  const bool is_root_, has_bar_;
  const Clock::duration log_every_;  ///< zero: never

  std::mutex mutex_;  ///< of what follows
  std::condition_variable ends_;
  bool ending_ = false;
  std::filesystem::path log_;         ///< empty before log_to()
  FileDescriptor log_mark_;           ///< of mark_in_use()
  std::string unlogged_;              ///< lines that are not in the file yet
  RepeatedFailure unwritten_;         ///< of the file
  RepeatedFailure unprinted_;         ///< of standard output
  bool bar_shown_ = false;            ///< the cursor is behind a line that will be drawn again
  bool row_due_ = false;              ///< wants_progress() was true because a line was due
  std::optional<StepProgress> last_;  ///< what the bar says; none before the epoch's first
  Epoch epoch_;
  Clock::time_point said_, drawn_, row_, asked_;
  std::thread watcher_;
};

}  // namespace convoy
