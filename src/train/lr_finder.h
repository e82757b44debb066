// A range test of the learning rate (Smith, "Cyclical Learning Rates for Training Neural Networks", WACV
// 2017), with the suggestions of fastai's lr_find.
#pragma once

#include <optional>
#include <vector>

#include "src/report/line_chart.h"
#include "src/session/session.h"

namespace convoy {

struct LrRange {
  double lowest = 1e-7, highest = 10;
  int steps = 100;
};

struct LrCurve {
  /// Of each step that was run: its learning rate, the loss of its batch before its update, and the mean of
  /// the losses up to it, of which an earlier one weighs less (`loss_memory`).
  std::vector<double> rates, losses, smoothed;
  bool diverged = false;  ///< it ended early: the loss was not finite, or four times the lowest
  std::optional<double>
      steepest;  ///< where the smoothed loss falls fastest; none where it never falls by 1 %
  std::optional<double> tenth_of_minimum;  ///< a tenth of where it is lowest
};

/// What a mean keeps of itself from step to step.
constexpr double loss_memory = 0.9;

/// Trains from the session's weights, the learning rate rising by equal factors from step to step.
/// Collective; every rank gets the same curve. The weights are spoilt afterwards.
LrCurve find_learning_rate(Session& session, const LrRange& range);

/// Fills in what curve.rates and curve.losses imply. The first tenth of the steps and the last five are not
/// suggested.
void suggest(LrCurve& curve);

/// The smoothed losses over a logarithmic axis of learning rates; the suggestions are marked.
LineChart lr_chart(const LrCurve& curve);

}  // namespace convoy
