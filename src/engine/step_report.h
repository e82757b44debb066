// Reads the reports of steps (core/step_state.h) from an arena.
#pragma once

#include "kernels/loss.h"

namespace convoy {

/// All of Arena::reports.
constexpr Tensor all_reports{Arena::reports, DType::f64, 0, report_slots* report_fields};

/// Throws if this step has not reported yet, or if a later step has overwritten `report`.
inline StepReport read_report(const double* report, std::int64_t step) {
  check(report[report_serial] == serial_of(step), "one of the last steps is asked for");
  return {report[report_loss], static_cast<int>(report[report_stop])};
}

}  // namespace convoy
