#include "src/checkpoint/checkpoint_writer.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "core/log.h"
#include "core/reason.h"
#include "src/checkpoint/checkpoint_files.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono_literals::operator""ms;

/// Training that stands still for longer than this because of the disk is worth a word.
constexpr std::chrono::duration<double> noticeable{1};

}  // namespace

// While `pending`, all but the mutex's own members are the thread's, else the caller's.
struct CheckpointWriter::State {
  State(Session& session, fs::path to, int newest, std::string text)
      : folder(std::move(to)), keep(newest), config(std::move(text)), snapshot(session) {
    thread = std::jthread([this](const std::stop_token& stop) { work(stop); });
  }

  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (changed.wait(lock, stop, [this] { return pending; })) {
      lock.unlock();
      write();
      lock.lock();
      pending = false;
      changed.notify_all();
    }
  }

  /// Warns of the first failure in a row alone: a full disk must not fill the log, too.
  void write() {
    try {
      for (const fs::path& path : paths) snapshot.write(path, config);
      if (failures > 0) log_info("checkpoints are written again, {} were not", failures);
      failures = 0;
    } catch (const std::exception& error) {
      problem = reason_of(error);
      if (failures++ == 0)
        log_warn("no checkpoint: {}; the run goes on and tries again at the next", problem);
      return;
    }
    try {
      remove_old_checkpoints(folder, keep);
    } catch (const std::exception& error) {
      if (!std::exchange(kept_too_many, true)) log_warn("old checkpoints stay: {}", reason_of(error));
    }
  }

  void wait_until_idle() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return !pending; });
  }

  const fs::path folder;
  const int keep;
  const std::string config;
  Snapshot snapshot;
  std::vector<fs::path> paths;
  int failures = 0;  ///< in a row
  std::string problem;
  bool kept_too_many = false, waited = false;
  std::mutex mutex;
  std::condition_variable_any changed;
  bool pending = false;
  std::jthread thread;  // last, so that it is joined before what it uses goes
};

CheckpointWriter::CheckpointWriter(Session& session, fs::path folder, int keep, std::string config)
    : state_(std::make_unique<State>(session, std::move(folder), keep, std::move(config))) {}

CheckpointWriter::~CheckpointWriter() {
  state_->wait_until_idle();
}

void CheckpointWriter::save(const Progress& progress, std::vector<fs::path> paths) {
  State& s = *state_;
  const Clock::time_point start = Clock::now();
  s.wait_until_idle();
  const std::chrono::duration<double> waited = Clock::now() - start;
  if (waited > noticeable && !std::exchange(s.waited, true)) {
    log_warn(
        "training waited {:.1f} s for the checkpoint before to be written: they come faster than the disk",
        waited.count());
  }
  s.snapshot.take(progress);
  s.paths = std::move(paths);
  const std::lock_guard lock(s.mutex);
  s.pending = true;
  s.changed.notify_all();
}

void CheckpointWriter::finish() {
  State& s = *state_;
  s.wait_until_idle();
  // No later one makes up for the last, so that it is tried again: a disk may be full or away for a moment.
  for (const std::chrono::milliseconds pause : {100ms, 400ms, 1500ms}) {
    if (s.failures == 0) return;
    std::this_thread::sleep_for(pause);
    s.write();
  }
  if (s.failures > 0) fail("the last checkpoint is missing: {}", s.problem);
}

}  // namespace convoy
