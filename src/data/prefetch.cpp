#include "src/data/prefetch.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "core/error.h"

namespace convoy {

// Batch b lives in slot b % slots. Rows are handed to threads in order: `batch` and `row` are the next ones,
// and batch's slot is free while batch - released < slots. released <= acquired <= staged <= batch.
struct Prefetcher::State {
  using Batches = std::vector<std::vector<std::int32_t>>;

  State(const Dataset& d, std::vector<std::uint8_t*> s, int threads) : dataset(d), slots(std::move(s)) {
    check(!slots.empty(), "prefetching needs a slot");
    check(threads > 0, "prefetching needs a thread");
    for (int i = 0; i < threads; ++i) workers.emplace_back([this](std::stop_token stop) { work(stop); });
  }

  /// A part of a batch that one thread fills.
  struct Rows {
    std::size_t batch = 0, first = 0, count = 0;
  };

  bool has_rows() const { return !problem && batch < batches.size() && batch - released < slots.size(); }

  Rows take_rows() {
    // A copy is over sooner than two threads have talked about it; making an image is not.
    constexpr std::size_t rows_to_copy = 256;
    const std::size_t left = batches[batch].size() - row;
    const Rows rows{batch, row, std::min(left, dataset.source ? std::size_t{1} : rows_to_copy)};
    row += rows.count;
    skip_full_batches();
    return rows;
  }

  /// Moves on to the next batch that has a row to hand out.
  void skip_full_batches() {
    while (batch < batches.size() && row == batches[batch].size()) {
      ++batch;
      row = 0;
    }
    while (staged < batch && done[staged] == batches[staged].size()) ++staged;
  }

  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (changed.wait(lock, stop, [&] { return stop.stop_requested() || has_rows(); })) {
      if (stop.stop_requested()) return;
      const Rows rows = take_rows();
      ++busy;
      lock.unlock();
      std::exception_ptr thrown;
      try {
        fill(rows);
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      --busy;
      if (thrown && !problem) problem = thrown;
      if (!thrown) done[rows.batch] += rows.count;
      const std::size_t before = staged;
      skip_full_batches();
      if (staged != before || problem || busy == 0) changed.notify_all();
    }
  }

  /// What it reads changes only while nobody is busy.
  void fill(const Rows& rows) const {
    const auto bytes = static_cast<std::size_t>(dataset.image.count());
    std::uint8_t* slot = slots[rows.batch % slots.size()];
    Occasion of_batch = occasion;
    of_batch.epoch += occasion.each_batch * static_cast<int>(rows.batch);
    for (std::size_t i = rows.first; i < rows.first + rows.count; ++i)
      fetch_image(dataset, batches[rows.batch][i], of_batch, slot + i * bytes);
  }

  const Dataset& dataset;
  const std::vector<std::uint8_t*> slots;
  std::mutex mutex;
  std::condition_variable_any changed;
  Batches batches;
  Occasion occasion;
  std::vector<std::size_t> done;  ///< rows of each batch
  std::size_t batch = 0, row = 0;
  std::size_t staged = 0, acquired = 0, released = 0;
  int busy = 0;  ///< threads that fill rows
  std::exception_ptr problem;
  std::vector<std::jthread> workers;  // last, so that they are stopped and joined before what they use goes
};

Prefetcher::Prefetcher(const Dataset& dataset, std::vector<std::uint8_t*> slots, int threads)
    : state_(std::make_unique<State>(dataset, std::move(slots), threads)) {}

Prefetcher::~Prefetcher() = default;

void Prefetcher::start(std::vector<std::vector<std::int32_t>> batches, const Occasion& occasion) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  s.batch = s.batches.size();  // nothing more of the old sequence is handed out
  s.changed.wait(lock, [&] { return s.busy == 0; });
  s.done.assign(batches.size(), 0);
  s.batches = std::move(batches);
  s.occasion = occasion;
  s.batch = s.row = s.staged = s.acquired = s.released = 0;
  s.problem = nullptr;
  s.skip_full_batches();
  s.changed.notify_all();
}

int Prefetcher::acquire() {
  std::unique_lock lock(state_->mutex);
  State& s = *state_;
  check(s.acquired < s.batches.size(), "acquired more batches than were started");
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
