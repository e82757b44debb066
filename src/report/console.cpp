#include "src/report/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/log.h"
#include "src/io/atomic_file.h"
#include "src/io/in_use.h"

namespace convoy {
namespace {

using namespace std::chrono_literals;

constexpr auto redraw_every = 300ms, look_every = 250ms;

/// mpirun gives its ranks a pseudo-terminal. What counts is where mpirun itself writes.
bool stdout_is_terminal() {
  if (isatty(STDOUT_FILENO) != 1) return false;
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return true;
  std::error_code error;
  const auto target = std::filesystem::read_symlink(fmt::format("/proc/{}/fd/1", getppid()), error).string();
  return !error && (target.starts_with("/dev/pts/") || target.starts_with("/dev/tty"));
}

/// Whether a line can be drawn again there. No colours are used, so NO_COLOR asks for nothing.
bool can_redraw() {
  const char* terminal = std::getenv("TERM");
  return stdout_is_terminal() && terminal != nullptr && std::string(terminal) != "dumb" && *terminal != '\0';
}

/// The last column stays free, because some terminals begin a new line after it.
int columns() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return (known ? size.ws_col : 80) - 1;
}

/// To standard output, past its buffer. False, with errno set, where it cannot be written.
bool put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

double seconds_of(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Console::Console(const RankEnvironment& ranks, double log_every)
    : ranks_(ranks),
      is_root_(ranks.is_root()),
      has_bar_(is_root_ && can_redraw()),
      log_every_(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(log_every))),
      said_(Clock::now()),
      drawn_(said_),
      row_(said_),
      asked_(said_) {
  if (is_root_) watcher_ = std::thread([this] { watch(); });
}

Console::~Console() {
  {
    const Lock lock(mutex_);
    ending_ = true;
    clear(lock);
  }
  ends_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void Console::log_to(const std::filesystem::path& path) {
  if (!is_root_) return;
  const Lock lock(mutex_);
  log_ = path;
  append_log(lock);
  log_mark_ = mark_in_use(path);
}

void Console::line(const std::string& text) {
  if (!is_root_) return;
  const Lock lock(mutex_);
  write_line(lock, text);
}

void Console::warn(const std::string& text) {
  if (!is_root_) return;
  const Lock lock(mutex_);
  clear(lock);
  write_warning(lock, text);
}

void Console::epoch(const EpochRecord& r, int epochs) {
  if (!is_root_) return;
  const Lock lock(mutex_);
  row_ = Clock::now();
  write_line(
      lock, fmt::format("epoch {}/{}  loss {:.4f}  train {:.2f} %  val loss {:.4f}  val {:.2f} %  lr {:.4g}  "
                        "{:.0f} img/s  {:.1f} s{}",
                        r.epoch, epochs, r.train_loss, 100 * r.train_accuracy, r.val_loss,
                        100 * r.val_accuracy, r.lr, r.images_per_second, r.seconds,
                        r.bad_images > 0 ? fmt::format("  {} broken pictures replaced", r.bad_images) : ""));
}

void Console::begin_epoch(int epoch, int epochs, std::int64_t first_step, std::int64_t steps) {
  if (!is_root_) return;
  const Lock lock(mutex_);
  epoch_ = {epoch, epochs, first_step, steps};
  last_.reset();
  asked_ = Clock::now();
}

bool Console::wants_progress() {
  if (!is_root_) return false;
  const Lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  const Clock::duration step = now - std::exchange(asked_, now);
  row_due_ = log_every_ > 0s && now + step >= row_ + log_every_;  // rather early than late
  return row_due_ || (has_bar_ && now >= drawn_ + redraw_every);
}

bool Console::progress(const StepProgress& progress) {
  const Lock lock(mutex_);
  last_ = progress;
  const bool is_row = std::exchange(row_due_, false);
  if (is_row) row_ = Clock::now();
  if (has_bar_) {
    draw(lock, progress_bar(progress, columns()));
    if (is_row) write_log(lock, progress_line(progress));
  } else if (is_row) {
    write_line(lock, progress_line(progress));
  }
  return is_row;
}

void Console::watch() {
  const Activity& activity = ranks_.activity();
  const char* doing = nullptr;
  std::uint64_t advances = 0;
  Clock::time_point since = Clock::now();
  for (Lock lock(mutex_); !ends_.wait_for(lock, look_every, [this] { return ending_; });) {
    const Clock::time_point now = Clock::now();
    const bool is_training = activity.doing() == Activity::training;
    if (activity.doing() != doing || (is_training && activity.advances() != advances)) since = now;
    doing = activity.doing();
    advances = activity.advances();
    const double seconds = seconds_of(now - since);
    if (has_bar_) {
      // The training thread draws the bar. The bar does not move during a long step or other work.
      if (now - drawn_ >= 1s && seconds >= 1) draw(lock, bar_status(seconds));
    } else if (log_every_ > 0s && seconds >= 1 && now - said_ >= log_every_) {
      write_line(lock, status(seconds));
    }
  }
}

std::string Console::status(double seconds) const {
  const Activity& activity = ranks_.activity();
  const std::string doing = activity.doing();
  if (doing != Activity::training) return fmt::format("{}, {:.0f} s", doing, seconds);
  return fmt::format("epoch {}/{}  still in step {} of {}, {:.0f} s", epoch_.epoch, epoch_.epochs,
                     activity.step() - epoch_.first_step + 1, epoch_.steps, seconds);
}

std::string Console::bar_status(double seconds) const {
  if (ranks_.activity().doing() != Activity::training || !last_) return status(seconds);
  const std::string since = fmt::format("  {:.0f} s in this step", seconds);
  return progress_bar(*last_, columns() - static_cast<int>(since.size())) + since;
}

void Console::write_line(const Lock& lock, const std::string& text) {
  const std::string shown = printable_lines(text);
  clear(lock);
  print(lock, shown + "\n");
  write_log(lock, shown);
  said_ = Clock::now();
}

void Console::print(const Lock& lock, const std::string& text) {
  if (put(text)) {
    unprinted_.over();
    return;
  }
  const std::string reason = std::strerror(errno);
  if (unprinted_.is_news(reason))
    write_warning(lock, fmt::format("cannot write to standard output: {}; the run goes on, and its lines are "
                                    "in train.log",
                                    reason));
}

void Console::write_warning(const Lock& lock, const std::string& text) {
  write_log_warning(text);
  write_log(lock, "warning: " + printable_lines(text));
}

void Console::write_log(const Lock& lock, const std::string& text) {
  unlogged_ += text + "\n";
  if (!log_.empty()) append_log(lock);
}

void Console::append_log(const Lock&) {
  // Opened again for each line, so that a disk that becomes read-only or a replaced file does no harm.
  try {
    append_to_file(log_, unlogged_, Sync::no);
    unlogged_.clear();
    unwritten_.over();
  } catch (const std::exception& error) {  // with the next line
    if (unwritten_.is_news(error.what())) log_warn("{}; the run goes on and tries again", error.what());
  }
}

void Console::draw(const Lock& lock, const std::string& text) {
  print(lock, fmt::format("\r{:.{}}\033[K", text, columns()));
  bar_shown_ = true;
  drawn_ = Clock::now();
}

void Console::clear(const Lock& lock) {
  if (bar_shown_) print(lock, "\r\033[K");
  bar_shown_ = false;
}

}  // namespace convoy
