#include "src/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace convoy {

double learning_rate(const ScheduleConfig& schedule, double peak, std::int64_t step,
                     std::int64_t steps_per_epoch, int epochs) {
  const double per_epoch = static_cast<double>(steps_per_epoch);
  const double total = per_epoch * epochs;
  const double warmup = schedule.warmup(per_epoch, epochs);
  const double now = static_cast<double>(step);
  if (now < warmup) return peak * std::min(1.0, (now + 1) / warmup);

  const double done = std::clamp((now - warmup) / std::max(1.0, total - warmup), 0.0,
                                 1.0);  // share of the steps after the warm-up
  const auto between = [](double from, double to, double share) { return from + (to - from) * share; };
  switch (schedule.name) {
    case ScheduleConfig::Name::constant:
      return peak;
    case ScheduleConfig::Name::step: {
      const double epoch = now / per_epoch;
      const auto passed = std::count_if(schedule.milestones.begin(), schedule.milestones.end(),
                                        [&](double milestone) { return milestone <= epoch; }) +
                          std::count_if(schedule.milestone_steps.begin(), schedule.milestone_steps.end(),
                                        [&](std::int64_t milestone) { return milestone <= step; });
      return peak * std::pow(schedule.gamma, static_cast<double>(passed));
    }
    case ScheduleConfig::Name::linear:
      return peak * between(1.0, schedule.final_factor, done);
    case ScheduleConfig::Name::cosine:
      return peak * between(schedule.final_factor, 1.0, 0.5 * (1.0 + std::cos(std::numbers::pi * done)));
    case ScheduleConfig::Name::one_cycle:
      if (done < schedule.peak_at) return peak * between(schedule.start_factor, 1.0, done / schedule.peak_at);
      return peak * between(1.0, schedule.final_factor, (done - schedule.peak_at) / (1.0 - schedule.peak_at));
  }
  return peak;
}

}  // namespace convoy
