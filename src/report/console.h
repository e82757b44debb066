// What a person sees of a run: a bar on a terminal, lines in a file, and that it lives while nothing else
// happens.
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

/// Silent on all ranks but the root. There a thread looks at RankEnvironment::activity(): on a terminal it
/// keeps the last line moving, elsewhere it says what is being done once nothing was said for `log_every`
/// seconds. A run outlives who watches it: that standard output cannot be written is a warning.
class Console {
 public:
  /// `log_every`: seconds between two lines of progress; 0: none.
  Console(const RankEnvironment& ranks, double log_every);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// Adds all lines to this file, too, those from before this call first. Marks it as in use
  /// (src/io/in_use.h), which tells others that the run is going on.
  void log_to(const std::filesystem::path& path);

  /// A line that stays.
  void line(const std::string& text);
  /// The same as a warning, on stderr.
  void warn(const std::string& text);
  void epoch(const EpochRecord& record, int epochs);

  /// An epoch begins: `steps` steps, the first of which Activity counts as `first_step`.
  void begin_epoch(int epoch, int epochs, std::int64_t first_step, std::int64_t steps);
  /// Asked after each step: whether it is time for progress().
  bool wants_progress();
  /// Draws the bar, or writes a line if one is due. Whether it was: then metrics.jsonl gets a row, too.
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
  bool bar_shown_ = false;            ///< the cursor stands behind a line that is drawn again
  bool row_due_ = false;              ///< wants_progress() was true for a line's sake
  std::optional<StepProgress> last_;  ///< what the bar says; none before the epoch's first
  Epoch epoch_;
  Clock::time_point said_, drawn_, row_, asked_;
  std::thread watcher_;
};

}  // namespace convoy
