// What resuming reads of a checkpoint besides its weights. An input is a safetensors file, whose checksum is
// made anew: the numbers of its metadata are read as those of a file that nobody has altered.
#include <cmath>

#include "src/checkpoint/data_record.h"
#include "src/checkpoint/progress.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

namespace {

void require_sound(const Progress& progress) {
  fuzz::require(progress.epochs_done >= 0 && progress.epochs_done <= 1'000'000'000, "epochs in their range");
  fuzz::require(progress.steps_done >= 0 && progress.steps_done <= most_steps, "steps in their range");
  fuzz::require(progress.epochs_since_best >= -1, "epochs since the best in their range");
  fuzz::require(!std::isnan(progress.best_value), "the best value is a number");
  fuzz::require(progress.seconds >= 0 && std::isfinite(progress.seconds), "seconds in their range");
  fuzz::require(progress.epoch_seconds >= 0 && std::isfinite(progress.epoch_seconds), "an epoch's seconds");
  fuzz::require(progress.images_done >= 0, "images in their range");
  if (progress.images_done == 0) return;
  fuzz::require(progress.metrics_ranks > 0, "metrics are of ranks");
  fuzz::require(progress.metrics.size() % static_cast<std::size_t>(progress.metrics_ranks) == 0,
                "as many metrics for each rank");
  for (const double value : progress.metrics) fuzz::require(std::isfinite(value), "metrics are numbers");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TensorFile file;
  if (!fuzz::accepts([&] { file = from_safetensors(std::string(fuzz::as_text({data, size})), "fuzz"); }))
    return 0;
  file.metadata.erase("checksum");
  file = from_safetensors(to_safetensors(file), "fuzz");
  const fuzz::MemoryLimit limit((256 << 10) + 128 * size);
  Progress progress;
  const bool accepted = fuzz::accepts([&] {
    require_checkpoint(file, "fuzz");
    progress = progress_in(file, "fuzz");
    config_in(file, "fuzz");
  });
  if (accepted) require_sound(progress);
  fuzz::accepts([&] { data_in(file, "fuzz"); });
  if (!accepted) return 0;
  TensorFile again = file;
  for (const auto& [key, value] : to_metadata(progress, config_in(file, "fuzz"))) again.metadata[key] = value;
  const Progress same = progress_in(again, "fuzz");
  fuzz::require(same.steps_done == progress.steps_done && same.best_value == progress.best_value &&
                    same.seconds == progress.seconds && same.images_done == progress.images_done,
                "what is written is read");
  return 0;
}
