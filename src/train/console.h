// What a person sees of a run: a live line on a terminal, plain lines in a log file.
#pragma once

#include <chrono>
#include <string>

#include "src/train/run_folder.h"

namespace convoy {

/// Silent on all ranks but the root.
class Console {
 public:
  explicit Console(bool is_root);

  void line(const std::string& text);
  void epoch(const EpochRecord& record, int epochs);

  /// True a few times a second on a terminal, never elsewhere: when live() is worth calling.
  bool wants_live() const;
  /// Rewrites the live line. `done` of `total` images of the epoch are through.
  void live(int epoch, int epochs, std::int64_t step, double loss, double done, double total, double seconds);

 private:
  void clear_live();
  bool is_root_, is_terminal_;
  bool live_shown_ = false;
  std::chrono::steady_clock::time_point last_live_{};
};

}  // namespace convoy
