#include "src/report/step_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace convoy {
namespace {

constexpr int widest_bar = 30, narrowest_bar = 6;

std::string bar(double share, int width) {
  const int inside = width - 2;
  const int done = std::clamp(static_cast<int>(share * inside), 0, inside);
  std::string text(static_cast<std::size_t>(inside), ' ');
  std::fill_n(text.begin(), done, '=');
  if (done < inside) text[static_cast<std::size_t>(done)] = '>';
  return fmt::format("[{}]", text);
}

std::string loss_text(const StepRecord& record) {
  return std::isfinite(record.loss) ? fmt::format("loss {:.4f}", record.loss) : "loss -";
}

std::string accuracy_text(const StepRecord& record) {
  return std::isfinite(record.accuracy) ? fmt::format("{:.2f} %", 100 * record.accuracy) : "- %";
}

}  // namespace

void Pace::add(double images, Clock::time_point now) {
  if (!first_) {
    first_ = Point{images, now};
    return;
  }
  const double seconds = std::chrono::duration<double>(now - first_->time).count();
  if (seconds > 0 && images > first_->images) rate_ = (images - first_->images) / seconds;
}

void Pace::begin_epoch(double images, Clock::time_point now) {
  if (first_) first_ = Point{images, now};
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::clamp(seconds, 0.0, 1e12)));
  const std::int64_t days = whole / 86'400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) return fmt::format("{} d {}:{:02}:{:02}", days, hours, minutes, whole % 60);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string progress_bar(const StepProgress& progress, int width) {
  const StepRecord& record = progress.record;
  // The parts after the bar. The second number says how early a part is left out when columns are few.
  struct Piece {
    std::string text;
    int rank;
  };
  std::vector<Piece> parts{{fmt::format("{}/{}", progress.step, progress.steps), 0},
                           {loss_text(record), 1},
                           {accuracy_text(record), 3}};
  if (record.images_per_second > 0)
    parts.push_back({fmt::format("{:.0f} images/s", record.images_per_second), 4});
  if (progress.seconds_left) parts.push_back({clock_text(*progress.seconds_left) + " left", 2});
  const std::string epoch = fmt::format("epoch {}/{}", record.epoch, progress.epochs);
  const auto text_with = [&](int last_rank, int bar_width) {
    std::string text = epoch;
    if (bar_width > 0)
      text += fmt::format(
          " {}", bar(static_cast<double>(progress.step) / static_cast<double>(progress.steps), bar_width));
    for (const Piece& part : parts)
      if (part.rank <= last_rank) text += fmt::format("  {}", part.text);
    return text;
  };
  for (int last_rank = 4; last_rank >= 0; --last_rank) {
    const std::string text = text_with(last_rank, 0);
    const int spare = width - static_cast<int>(text.size()) - 1;
    if (spare >= narrowest_bar) return text_with(last_rank, std::min(spare, widest_bar));
    if (spare >= -1) return text;
  }
  return epoch.substr(0, static_cast<std::size_t>(std::max(width, 0)));
}

std::string progress_line(const StepProgress& progress) {
  const StepRecord& record = progress.record;
  std::string text = fmt::format("epoch {}/{}  step {}/{}  {}  train {}", record.epoch, progress.epochs,
                                 progress.step, progress.steps, loss_text(record), accuracy_text(record));
  if (record.images_per_second > 0) text += fmt::format("  {:.0f} img/s", record.images_per_second);
  if (progress.seconds_left) text += fmt::format("  {} left", clock_text(*progress.seconds_left));
  return text;
}

}  // namespace convoy
