#include "core/thread_pool.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "core/cpu_quota.h"
#include "core/number.h"
#include "core/signal_block.h"
#include "core/spin.h"

namespace convoy {
namespace {

using Word = std::atomic<std::uint32_t>;
static_assert(sizeof(Word) == sizeof(std::uint32_t) && Word::is_always_lock_free, "the kernel reads it");

// Not std::atomic::wait(), which may call sched_yield() first: on a shared core a thread gives up its whole
// turn with that, while one that sleeps keeps its claim to be next.

/// Sleeps while `word` is `value`; may return earlier.
void sleep_while(const Word& word, std::uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void wake_all(const Word& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, std::numeric_limits<int>::max(), nullptr, nullptr, 0);
}

/// The number of chunks per thread: few enough to cost nothing, enough for others to take over from a thread
/// without a core.
constexpr std::int64_t chunks_per_part = 16;

/// A turn that throws ends the program: others still work on what its caller would take away.
template <class Loop>
void run_turns(const Loop& loop, std::int64_t first, std::int64_t end) noexcept {
  loop.call(loop.body, first, end);
}

}  // namespace

int default_threads() {
  constexpr int most_threads = 4096;  // whatever OMP_NUM_THREADS says
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    std::string_view first = text;  // of a list, which is for nested loops
    first = first.substr(0, first.find_first_of(", "));
    if (const auto threads = integer_in(first, 1, std::numeric_limits<int>::max()))
      return std::min(*threads, most_threads);
  }
  cpu_set_t mine;
  const int cores = sched_getaffinity(0, sizeof mine, &mine) == 0
                        ? CPU_COUNT(&mine)
                        : static_cast<int>(std::thread::hardware_concurrency());
  return std::max(std::min(cores, quota_cores().value_or(cores)), 1);
}

ThreadPool::ThreadPool(int threads) : most_(std::max(threads, 1)), limit_(most_) {}

ThreadPool::~ThreadPool() {
  stop_ = true;
  ++started_;
  wake_all(started_);
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::limit(int threads) {
  limit_ = std::clamp(threads, 1, most_);
}

void ThreadPool::run(Loop loop) {
  if (helpers_.empty()) start_helpers();
  loop.parts = static_cast<int>(std::min<std::int64_t>(limit_, loop.count));
  loop.chunk = std::max<std::int64_t>(1, loop.count / (loop.parts * chunks_per_part));
  loop_ = loop;
  for (int i = 0; i < loop.parts; ++i) {
    parts_[i].next.store(loop.count * i / loop.parts, std::memory_order_relaxed);
    parts_[i].end = loop.count * (i + 1) / loop.parts;
  }
  inside_.fetch_and(~closed, std::memory_order_release);
  ++started_;
  if (helpers_asleep_ > 0) wake_all(started_);
  work(0);
  // All turns are taken. Helpers that come now find the loop closed; those inside finish their chunks.
  if (inside_.fetch_or(closed, std::memory_order_acquire) != 0) await_helpers();
}

void ThreadPool::await_helpers() {
  const auto all_out = [&] { return inside_.load(std::memory_order_acquire) == closed; };
  while (!spin_until(all_out)) {
    caller_asleep_ = true;
    const std::uint32_t now = inside_;
    if (now != closed) sleep_while(inside_, now);
    caller_asleep_ = false;
  }
}

void ThreadPool::start_helpers() {
  parts_ = std::make_unique<Part[]>(static_cast<std::size_t>(most_));
  const SignalBlock block;
  for (int i = 1; i < most_; ++i) helpers_.emplace_back([this, i] { help(i); });
}

void ThreadPool::help(int index) {
  for (std::uint32_t seen = 0; true;) {
    const auto news = [&] { return started_.load(std::memory_order_acquire) != seen; };
    while (!spin_until(news)) {
      ++helpers_asleep_;  // before the kernel compares: either it sees the news, or run() sees this
      sleep_while(started_, seen);
      --helpers_asleep_;
    }
    seen = started_;
    if (stop_) return;
    const bool open = (inside_.fetch_add(1, std::memory_order_acquire) & closed) == 0;
    if (open && index < loop_.parts) work(index);
    if (--inside_ == closed && caller_asleep_) wake_all(inside_);
  }
}

/// Its own part first, then what others have left.
void ThreadPool::work(int index) {
  const Loop& loop = loop_;
  for (int i = 0; i < loop.parts; ++i) {
    Part& part = parts_[(index + i) % loop.parts];
    while (part.next.load(std::memory_order_relaxed) < part.end) {
      const std::int64_t first = part.next.fetch_add(loop.chunk, std::memory_order_relaxed);
      if (first < part.end) run_turns(loop, first, std::min(first + loop.chunk, part.end));
    }
  }
}

}  // namespace convoy
