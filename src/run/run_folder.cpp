#include "src/run/run_folder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "src/io/json_line.h"
#include "src/io/json_reader.h"
#include "src/run/earlier_run.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

nlohmann::ordered_json to_json(const EpochRecord& r) {
  nlohmann::ordered_json json = {{"epoch", r.epoch},
                                 {"step", r.step},
                                 {"train_loss", r.train_loss},
                                 {"train_accuracy", r.train_accuracy},
                                 {"val_loss", r.val_loss},
                                 {"val_accuracy", r.val_accuracy},
                                 {"lr", r.lr},
                                 {"images_per_second", r.images_per_second},
                                 {"seconds", r.seconds}};
  if (r.bad_images > 0) json["bad_images"] = r.bad_images;
  if (r.loss_scale) {
    json["loss_scale"] = r.loss_scale->scale;
    json["skipped_steps"] = r.loss_scale->skipped_steps;
  }
  return json;
}

/// An integer of a line of metrics.jsonl, which a user may have edited; 0 if it is not a whole number.
std::int64_t integer_of(const nlohmann::json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

/// A number from 0 to 1; 0 for anything else.
double share_of(const nlohmann::json& record, const char* key) {
  const auto found = record.find(key);
  const double share = found != record.end() && found->is_number() ? found->get<double>() : 0;
  return share >= 0 && share <= 1 ? share : 0;
}

}  // namespace

bool RunFolder::contains(const fs::path& checkpoint) const {
  std::error_code error;
  const fs::path folder = fs::weakly_canonical(checkpoint, error).parent_path();
  return !error && folder == fs::weakly_canonical(checkpoints(), error) && !error;
}

std::string RunFolder::prepare_new(const Config& config) const {
  std::string moved = set_aside_earlier_run(path_);
  create(config);
  return moved;
}

double RunFolder::prepare_resumed(const Config& config, int epochs, std::int64_t steps) const {
  create(config);
  double best = 0;
  if (!fs::exists(path_ / "metrics.jsonl")) return best;
  std::istringstream lines(read_file(path_ / "metrics.jsonl"));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const auto record = read_json_line(line);
    if (!record.is_object()) continue;
    if (record.contains("event")) {
      if (record["event"] == "step" && integer_of(record, "step") <= steps) kept += line + '\n';
    } else if (integer_of(record, "epoch") <= epochs) {
      kept += line + '\n';
      best = std::max(best, share_of(record, "val_accuracy"));
    }
  }
  write_file_atomically(path_ / "metrics.jsonl", kept);
  return best;
}

void RunFolder::create(const Config& config) const {
  std::error_code error;
  fs::create_directories(checkpoints(), error);
  if (error) fail("cannot create {}: {}", checkpoints().string(), error.message());
  remove_abandoned(path_);
  write_file_atomically(path_ / "config.yaml", to_yaml(config));
}

bool RunFolder::restore(const Config& config) const {
  std::error_code error;
  const bool is_whole = fs::exists(checkpoints(), error) && fs::exists(path_ / "config.yaml", error);
  if (is_whole || error) return false;
  try {
    create(config);
  } catch (const Error&) {
    return false;
  }
  return true;
}

void RunFolder::append_line(const std::string& line) {
  unwritten_ += line + '\n';
  flush();
}

void RunFolder::flush() {
  if (unwritten_.empty()) return;
  append_to_file(path_ / "metrics.jsonl", unwritten_);
  unwritten_.clear();
}

void RunFolder::append(const StepRecord& record) {
  const nlohmann::ordered_json json = {{"event", "step"},
                                       {"epoch", record.epoch},
                                       {"step", record.step},
                                       {"loss", record.loss},
                                       {"accuracy", record.accuracy},
                                       {"images_per_second", record.images_per_second},
                                       {"seconds", record.seconds},
                                       {"lr", record.lr}};
  append_line(to_json_line(json));
}

void RunFolder::append(const EpochRecord& record) {
  append_line(to_json_line(to_json(record)));
}

void RunFolder::append(const SummaryRecord& record) {
  nlohmann::ordered_json json = {{"event", "summary"}};
  json.update(to_json(record.last));
  json["best_val_accuracy"] = record.best_val_accuracy;
  if (record.test) {
    json["test_loss"] = record.test->loss();
    json["test_accuracy"] = record.test->accuracy();
  }
  json["seconds"] = record.seconds;
  json["seconds_to_first_step"] = record.seconds_to_first_step;
  json["ranks"] = record.ranks;
  json["engine"] = record.engine;
  if (!record.signs.empty()) json["signs"] = record.signs;
  append_line(to_json_line(json));
}

}  // namespace convoy
