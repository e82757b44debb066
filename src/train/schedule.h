// The learning rate of every step.
#pragma once

#include <cstdint>

#include "src/config/config.h"

namespace convoy {

/// Learning rate of step `step` (from 0) of a run of `epochs` epochs of `steps_per_epoch` steps. Warmup rises
/// linearly to the peak, reached by its last step; cosine is Loshchilov &
/// Hutter's (2017) without restarts; one_cycle is the triangle of Smith & Topin (2018): linear from
/// start_factor to the peak, then linear to final_factor.
double learning_rate(const ScheduleConfig& schedule, double peak, std::int64_t step,
                     std::int64_t steps_per_epoch, int epochs);

}  // namespace convoy
