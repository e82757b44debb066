#include "src/data/prefetch.h"

#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "src/core/error.h"

namespace convoy {

// Batch b lives in slot b % slots. released <= acquired <= staged <= batches.size(), and the thread may be
// copying batch `staged`, whose slot is free while staged - released < slots.
struct Prefetcher::State {
  using Batches = std::vector<std::vector<std::int32_t>>;

  State(const Dataset& d, std::vector<std::uint8_t*> s) : dataset(d), slots(std::move(s)) {
    check(!slots.empty(), "prefetching needs a slot");
    thread = std::jthread([this](std::stop_token stop) { work(stop); });
  }

  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    const auto has_work = [&] {
      return !stop.stop_requested() && !problem && staged < batches->size() &&
             staged - released < slots.size();
    };
    while (changed.wait(lock, stop, has_work)) {
      const auto sequence = batches;  // keeps the ids alive when start() replaces them meanwhile
      const auto& ids = (*sequence)[staged];
      std::uint8_t* slot = slots[staged % slots.size()];
      lock.unlock();
      std::exception_ptr thrown;
      try {
        copy(ids, slot);
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      if (sequence != batches) continue;  // a new sequence began: what was copied belongs to none
      if (thrown)
        problem = thrown;
      else
        ++staged;
      changed.notify_all();
    }
  }

  void copy(const std::vector<std::int32_t>& ids, std::uint8_t* out) const {
    const auto bytes = static_cast<std::size_t>(dataset.image.count());
    for (const std::int32_t id : ids) {
      const auto sample = static_cast<std::size_t>(id);
      if (id < 0 || sample >= dataset.labels.size()) {
        fail("prefetch: sample {} of a data set of {}", id, dataset.labels.size());
      }
      std::memcpy(out, dataset.images.data() + sample * bytes, bytes);
      out += bytes;
    }
  }

  const Dataset& dataset;
  const std::vector<std::uint8_t*> slots;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::shared_ptr<const Batches> batches = std::make_shared<Batches>();
  std::size_t staged = 0, acquired = 0, released = 0;
  std::exception_ptr problem;
  std::jthread thread;  // last, so that it is stopped and joined before what it uses goes
};

Prefetcher::Prefetcher(const Dataset& dataset, std::vector<std::uint8_t*> slots)
    : state_(std::make_unique<State>(dataset, std::move(slots))) {}

Prefetcher::~Prefetcher() = default;

void Prefetcher::start(std::vector<std::vector<std::int32_t>> batches) {
  const std::lock_guard lock(state_->mutex);
  state_->batches = std::make_shared<const State::Batches>(std::move(batches));
  state_->staged = state_->acquired = state_->released = 0;
  state_->problem = nullptr;
  state_->changed.notify_all();
}

int Prefetcher::acquire() {
  std::unique_lock lock(state_->mutex);
  State& s = *state_;
  check(s.acquired < s.batches->size(), "acquired more batches than were started");
  check(s.acquired - s.released < s.slots.size(), "acquired every slot without releasing one");
  s.changed.wait(lock, [&] { return s.staged > s.acquired || s.problem; });
  if (s.staged == s.acquired) std::rethrow_exception(s.problem);
  return static_cast<int>(s.acquired++ % s.slots.size());
}

void Prefetcher::release() {
  const std::lock_guard lock(state_->mutex);
  check(state_->released < state_->acquired, "released a slot that was not acquired");
  ++state_->released;
  state_->changed.notify_all();
}

}  // namespace convoy
