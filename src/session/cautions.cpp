#include "src/session/cautions.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

namespace convoy {
namespace {

/// What to say of a warm-up that takes half of the run instead of what it asks for; empty: it has its time.
std::string shortened_warmup(const Config& config, std::int64_t steps_per_epoch) {
  const ScheduleConfig& schedule = config.schedule;
  const int epochs = config.train.epochs;
  const double per_epoch = static_cast<double>(steps_per_epoch);
  const double steps = schedule.warmup(per_epoch, epochs);
  if (schedule.name == ScheduleConfig::Name::one_cycle || steps >= schedule.wanted_warmup(per_epoch))
    return {};
  return fmt::format(
      "schedule.{} asks for a warm-up longer than half of the run of {} epoch{}, {} steps: it takes {:g} "
      "steps",
      schedule.warmup_steps > 0 ? fmt::format("warmup_steps: {}", schedule.warmup_steps)
                                : fmt::format("warmup_epochs: {}", schedule.warmup_epochs),
      epochs, epochs == 1 ? "" : "s", epochs * steps_per_epoch, steps);
}

}  // namespace

std::vector<Caution> cautions(const Config& config, const SampleCounts& counts, bool validation_is_test) {
  std::vector<Caution> found;
  const int batch = config.train.global_batch;
  if (counts.train > 1 && counts.train <= batch) {
    // About ten steps.
    const unsigned suggested = std::bit_floor(static_cast<unsigned>(std::max(counts.train / 8, 1)));
    found.push_back(
        {"steps", fmt::format("1 step per epoch: {} images, global_batch {}; with train.global_batch: {} "
                              "weights change more often (make optimizer.lr smaller as well)",
                              counts.train, batch, suggested)});
  }
  const auto steps = std::ssize(batches_of(counts.train, batch, config.train.drop_last));
  if (std::string text = shortened_warmup(config, steps); !text.empty())
    found.push_back({"warmup", std::move(text)});
  std::vector<const char*> steered;
  if (config.train.early_stop) steered.push_back("train.early_stop");
  if (config.checkpoint.best) steered.push_back("checkpoint.best");
  if (validation_is_test && !steered.empty()) {
    found.push_back(
        {"validation",
         fmt::format(
             "{} choose{} by the test images, so that test accuracy no longer predicts the accuracy on "
             "new images; data.validation: 0.1 sets other images apart for this",
             fmt::join(steered, " and "), steered.size() == 1 ? "s" : "")});
  }
  return found;
}

}  // namespace convoy
