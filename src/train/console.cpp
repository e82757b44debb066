#include "src/train/console.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace convoy {

using std::chrono::steady_clock;

namespace {

/// mpirun gives its ranks a pseudo-terminal of its own; what counts there is where mpirun writes.
bool stdout_is_terminal() {
  if (isatty(STDOUT_FILENO) != 1) return false;
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return true;
  std::error_code error;
  const auto target = std::filesystem::read_symlink(fmt::format("/proc/{}/fd/1", getppid()), error).string();
  return !error && (target.starts_with("/dev/pts/") || target.starts_with("/dev/tty"));
}

}  // namespace

Console::Console(bool is_root) : is_root_(is_root), is_terminal_(stdout_is_terminal()) {}

void Console::clear_live() {
  if (live_shown_) fmt::print("\r\033[K");
  live_shown_ = false;
}

void Console::line(const std::string& text) {
  if (!is_root_) return;
  clear_live();
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Console::epoch(const EpochRecord& r, int epochs) {
  line(
      fmt::format("epoch {}/{}  loss {:.4f}  train {:.2f} %  val loss {:.4f}  val {:.2f} %  lr {:.4g}  "
                  "{:.0f} img/s  {:.1f} s{}",
                  r.epoch, epochs, r.train_loss, 100 * r.train_accuracy, r.val_loss, 100 * r.val_accuracy,
                  r.lr, r.images_per_second, r.seconds,
                  r.bad_images > 0 ? fmt::format("  {} broken pictures replaced", r.bad_images) : ""));
}

bool Console::wants_live() const {
  return is_root_ && is_terminal_ && steady_clock::now() - last_live_ > std::chrono::milliseconds(300);
}

void Console::live(int epoch, int epochs, std::int64_t step, double loss, double done, double total,
                   double seconds) {
  const double rate = seconds > 0 ? done / seconds : 0;
  const double left = rate > 0 ? (total - done) / rate : 0;
  const double all_left = rate > 0 ? left + (epochs - epoch) * total / rate : 0;
  fmt::print(
      "\r\033[Kepoch {}/{}  step {}  loss {:.4f}  {:.0f} img/s  {:.0f} s left in epoch, {:.0f} s in all",
      epoch, epochs, step, loss, rate, left, all_left);
  std::fflush(stdout);
  live_shown_ = true;
  last_live_ = steady_clock::now();
}

}  // namespace convoy
