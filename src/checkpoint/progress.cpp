#include "src/checkpoint/progress.h"

#include <fmt/format.h>

#include <cstdlib>
#include <limits>
#include <optional>

#include "core/error.h"
#include "core/number.h"
#include "src/checkpoint/file_values.h"

namespace convoy {
namespace {

/// Format 1 knew no position within an epoch; files of formats 1 and 2 do not say in which order the columns
/// of a linear layer stand that has activations or dropouts between it and a flatten.
constexpr const char *format_name = "convoy-checkpoint-3", *format_2 = "convoy-checkpoint-2",
                     *format_1 = "convoy-checkpoint-1";

/// `key` is no std::string: g++ 13 would take the result for a part of that temporary (-Wdangling-reference).
const std::string& metadata(const TensorFile& file, const char* key, const std::string& name) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end())
    fail(
        "{}: not a Convoy checkpoint: its metadata has no \"{}\" (weights alone begin a run: `convoy train "
        "CONFIG --init FILE`)",
        name, key);
  return it->second;
}

// As most_steps.
constexpr int most_epochs = 1'000'000'000;
constexpr std::int64_t most_images = std::int64_t{1} << 40;
constexpr double most_seconds = 1e12;

/// An integer of the metadata, from `low` to `high`.
template <class Integer>
Integer integer_in(const TensorFile& file, const char* key, Integer low, Integer high,
                   const std::string& name) {
  const std::string& text = metadata(file, key, name);
  const std::optional<Integer> value = convoy::integer_in<Integer>(text, low, high);
  if (!value)
    fail("{}: its {} is \"{}\", no whole number from {} to {}", name, key, text.substr(0, 60), low, high);
  return *value;
}

/// A finite number of the metadata, from `low` to `high`.
double real_in(const TensorFile& file, const char* key, double low, double high, const std::string& name) {
  const std::string& text = metadata(file, key, name);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool whole = !text.empty() && end == text.c_str() + text.size();
  if (!whole || !(value >= low && value <= high))  // also where it is NaN
    fail("{}: its {} is \"{}\", no number from {:g} to {:g}", name, key, text.substr(0, 60), low, high);
  return value;
}

std::string exact(double value) {
  return fmt::format("{:a}", value);
}

}  // namespace

std::map<std::string, std::string> to_metadata(const Progress& progress, const std::string& config) {
  std::map<std::string, std::string> text = {
      {"format", format_name},
      {"config", config},
      {"epochs_done", std::to_string(progress.epochs_done)},
      {"steps_done", std::to_string(progress.steps_done)},
      {"best_metric", progress.best_metric},
      {"best_value", exact(progress.best_value)},
      {"epochs_since_best", std::to_string(progress.epochs_since_best)},
      {"seconds", exact(progress.seconds)},
      {"images_done", std::to_string(progress.images_done)}};
  if (progress.images_done > 0) {
    text["order"] = progress.order;
    text["epoch_seconds"] = exact(progress.epoch_seconds);
  }
  return text;
}

void require_checkpoint(const TensorFile& file, const std::string& name) {
  const std::string& format = metadata(file, "format", name);
  if (format != format_name && format != format_2 && format != format_1)
    fail("{}: written by another version", name);
  if (!file.is_verified) fail("{}: altered: its checksum is gone", name);
}

Progress progress_in(const TensorFile& file, const std::string& name) {
  Progress progress;
  progress.epochs_done = integer_in(file, "epochs_done", 0, most_epochs, name);
  progress.steps_done = integer_in(file, "steps_done", std::int64_t{0}, most_steps, name);
  progress.best_metric = metadata(file, "best_metric", name);
  constexpr double endless = std::numeric_limits<double>::infinity();  // as a loss may be
  progress.best_value = real_in(file, "best_value", -endless, endless, name);
  progress.epochs_since_best = integer_in(file, "epochs_since_best", -1, most_epochs, name);
  if (metadata(file, "format", name) == format_1) return progress;
  progress.seconds = real_in(file, "seconds", 0, most_seconds, name);
  progress.images_done = integer_in(file, "images_done", std::int64_t{0}, most_images, name);
  if (progress.images_done == 0) return progress;
  progress.order = metadata(file, "order", name);
  progress.epoch_seconds = real_in(file, "epoch_seconds", 0, most_seconds, name);
  const auto sums = file.tensors.find(progress_metrics_name);
  if (sums == file.tensors.end() || sums->second.shape.size() != 2 || sums->second.bytes.empty())
    fail("{}: its epoch's metrics are missing", name);
  require_float(sums->second, progress_metrics_name, name);
  progress.metrics = to_values(sums->second);
  require_finite(progress.metrics, progress_metrics_name, name);
  if (sums->second.shape[0] > std::numeric_limits<int>::max())
    fail("{}: its epoch's metrics are of {} ranks", name, sums->second.shape[0]);
  progress.metrics_ranks = static_cast<int>(sums->second.shape[0]);
  return progress;
}

const std::string& config_in(const TensorFile& file, const std::string& name) {
  return metadata(file, "config", name);
}

bool leaves_order_open(const TensorFile& file) {
  const auto format = file.metadata.find("format");
  return format != file.metadata.end() && (format->second == format_2 || format->second == format_1);
}

}  // namespace convoy
