// Fewer OpenMP threads for a while.
#pragma once

#include <omp.h>

#include <algorithm>

namespace convoy {

/// While it lives, parallel regions of this thread have `threads` threads at the most.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads) { omp_set_num_threads(std::min(before_, threads)); }
  ~ThreadLimit() { omp_set_num_threads(before_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  const int before_ = omp_get_max_threads();
};

}  // namespace convoy
