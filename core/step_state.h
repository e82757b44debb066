// Everything that differs from one run of a plan to the next.
#pragma once

#include <cstdint>

namespace convoy {

/// Places for staged batches in the engine's memory: a step reads one while the next batch fills the other.
constexpr int staging_slots = 2;

/// How a step blends images with their partners (kernels/augment.h). Inside the box of rows [top, bottom) and
/// columns [left, right) a pixel becomes own × itself + (1 - own) × the partner's.
struct Blend {
  float own = 1.0f;
  float share = 1.0f;  ///< of the image itself over all its pixels: the weight of its label
  std::int32_t top = 0, left = 0, bottom = 0, right = 0;
};

struct StepState {
  std::uint64_t seed = 0;
  std::int64_t step = 0;   ///< optimizer steps done before this one; keys dropout
  std::int64_t first = 0;  ///< where in Arena::order the global batch begins
  std::int32_t epoch = 0;  ///< keys the augmentation
  std::int32_t slot = 0;   ///< which staged batch to read when the data set is not resident
  std::int32_t stop = 0;   ///< nonzero: this rank has been asked to stop; the others learn of it by the step
  float learning_rate = 0.0f;
  Blend blend;  ///< of training steps with mixup or cutmix
};

/// The report of a training step, which the host reads as soon as the step is done: report_fields f64 values
/// in slot step % report_slots of Arena::reports.
constexpr int report_slots = 2;
enum ReportField : int {
  report_serial,  ///< step + 1, written last
  report_loss,    ///< mean over the global batch
  report_stop,    ///< ranks that have been asked to stop
  report_fields
};
struct StepReport {
  double loss = 0;
  int stop = 0;
};

}  // namespace convoy
