// Where engines find what a step has reported (src/core/step_state.h).
#pragma once

#include "src/core/step_state.h"
#include "src/core/tensor.h"

namespace convoy {

/// A step's place in Arena::reports: (report_fields) f64.
inline Tensor report_tensor(std::int64_t step) {
  const std::int64_t bytes = report_fields * size_of(DType::f64);
  return {Arena::reports, DType::f64, step % report_slots * bytes, report_fields};
}
/// Throws where another step has reported since, or this one has not.
inline StepReport read_report(const double* report, std::int64_t step) {
  check(report[report_serial] == static_cast<double>(step + 1), "one of the last steps is asked for");
  return {report[report_loss], static_cast<int>(report[report_stop])};
}

}  // namespace convoy
