#include "src/train/lr_finder.h"

#include <algorithm>
#include <cmath>

namespace convoy {
namespace {

/// A loss is far too high when it is so many times the lowest.
constexpr double divergence = 4;

/// What of the loss must go away before anything is said of where it falls.
constexpr double least_fall = 0.01;

/// The mean of what was added, each addition `loss_memory` of the next.
class FadingMean {
 public:
  double add(double value) {
    sum_ = loss_memory * sum_ + (1 - loss_memory) * value;
    weight_ = loss_memory * weight_ + (1 - loss_memory);
    return sum_ / weight_;
  }

 private:
  double sum_ = 0, weight_ = 0;
};

}  // namespace

LrCurve find_learning_rate(Session& session, const LrRange& range) {
  LrCurve curve;
  const std::int64_t per_epoch = session.steps_per_epoch();
  const double factor = std::pow(range.highest / range.lowest, 1.0 / std::max(range.steps - 1, 1));
  FadingMean mean;
  double lowest = INFINITY;
  for (std::int64_t step = 0; step < range.steps && !curve.diverged; ++step) {
    if (step % per_epoch == 0) session.begin_epoch(static_cast<int>(step / per_epoch) + 1);
    StepState state;
    state.step = step;
    state.learning_rate = static_cast<float>(range.lowest * std::pow(factor, static_cast<double>(step)));
    session.train_batch(static_cast<int>(step % per_epoch), state);
    const StepVerdict verdict = session.verdict(step);
    curve.diverged = !verdict.finite;
    if (curve.diverged) break;
    curve.rates.push_back(static_cast<double>(state.learning_rate));
    curve.losses.push_back(verdict.loss);
    const double smoothed = mean.add(verdict.loss);
    lowest = std::min(lowest, smoothed);
    curve.diverged = smoothed > divergence * lowest;
  }
  suggest(curve);
  return curve;
}

void suggest(LrCurve& curve) {
  FadingMean mean;
  curve.smoothed.clear();
  curve.steepest.reset(), curve.tenth_of_minimum.reset();
  for (const double loss : curve.losses) curve.smoothed.push_back(mean.add(loss));
  const std::size_t steps = curve.losses.size(), first = steps / 10, end = steps > 5 ? steps - 5 : 0;
  if (first + 1 >= end) return;
  double steepest = 0;
  std::size_t place = first, best = first;
  for (std::size_t i = first; i + 1 < end; ++i) {
    const double slope =
        (curve.smoothed[i + 1] - curve.smoothed[i]) / std::log(curve.rates[i + 1] / curve.rates[i]);
    if (slope < steepest) steepest = slope, place = i;
    if (curve.smoothed[i + 1] < curve.smoothed[best]) best = i + 1;
  }
  if (curve.smoothed[best] > (1 - least_fall) * curve.smoothed[first]) return;
  curve.steepest = curve.rates[place];
  curve.tenth_of_minimum = curve.rates[best] / 10;
}

LineChart lr_chart(const LrCurve& curve) {
  LineChart chart;
  chart.x_title = "learning rate", chart.y_title = "loss";
  for (std::size_t i = 0; i < curve.rates.size(); ++i)
    chart.points.push_back({curve.rates[i], curve.smoothed[i]});
  if (curve.steepest) chart.marks.push_back({*curve.steepest, "steepest"});
  if (curve.tenth_of_minimum) chart.marks.push_back({*curve.tenth_of_minimum, "minimum / 10"});
  // What rises at the end hides the rest.
  if (!curve.smoothed.empty()) {
    const auto [low, high] = std::minmax_element(curve.smoothed.begin(), curve.smoothed.end());
    chart.highest = std::min(*high, std::max(1.5 * curve.smoothed.front(), *low + 1e-12));
  }
  return chart;
}

}  // namespace convoy
