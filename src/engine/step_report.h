// Where engines find what a step has reported (core/step_state.h).
#pragma once

#include "kernels/loss.h"

namespace convoy {

/// All of Arena::reports.
constexpr Tensor all_reports{Arena::reports, DType::f64, 0, report_slots* report_fields};

/// Throws where another step has reported in `report` since, or this one has not.
inline StepReport read_report(const double* report, std::int64_t step) {
  check(report[report_serial] == serial_of(step), "one of the last steps is asked for");
  return {report[report_loss], static_cast<int>(report[report_stop])};
}

}  // namespace convoy
