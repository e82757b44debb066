// How far an epoch is, in a form for people: a bar on a terminal, a line in a file.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "src/run/run_folder.h"

namespace convoy {

/// The progress within an epoch. All figures count steps that are done, not those that are only queued.
struct StepProgress {
  StepRecord record;
  int epochs = 0;                      ///< of the run
  std::int64_t step = 0, steps = 0;    ///< done of the epoch's
  std::optional<double> seconds_left;  ///< of the run, validation included; nothing while speed is unknown
};

/// The speed of steps. The first step also compiles and fills caches, so it only starts the clock.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;
  /// `images` of the epoch are done at `now`.
  void add(double images, Clock::time_point now);
  /// An epoch begins or goes on after `images`. The speed measured so far is kept.
  void begin_epoch(double images, Clock::time_point now);
  /// Nothing until the second step is done.
  std::optional<double> images_per_second() const { return rate_; }

 private:
  struct Point {
    double images = 0;
    Clock::time_point time;
  };
  std::optional<Point> first_;
  std::optional<double> rate_;
};

/// "0:07", "12:34", "3:25:45", "2 d 3:25:45".
std::string clock_text(double seconds);

/// `epoch 2/3 [=====>    ]  120/469  loss 0.4312  87.25 %  1234 images/s  0:12 left`, at most `width`
/// columns of ASCII: if there are too few, the bar is left out first, then the least important figures.
std::string progress_bar(const StepProgress& progress, int width);
/// The same as a line of a log: "epoch 2/3  step 120/469  loss …".
std::string progress_line(const StepProgress& progress);

}  // namespace convoy
