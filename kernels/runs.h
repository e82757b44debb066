// Flat memory on the CPU, shared out among threads in runs of fixed length.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/ceil_div.h"
#include "core/thread_pool.h"

namespace convoy {

/// Calls body(index of the run, begin, end) for runs of `Run` elements, the last of which may be shorter.
template <std::int64_t Run, class Body>
void for_each_run(ThreadPool& threads, std::int64_t count, const Body& body) {
  threads.for_each(ceil_div(count, Run), [&body, count](std::int64_t run) {
    body(run, run * Run, std::min(count, (run + 1) * Run));
  });
}

}  // namespace convoy
