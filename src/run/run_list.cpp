#include "src/run/run_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "core/reason.h"
#include "core/regular_file.h"
#include "src/config/config.h"
#include "src/io/in_use.h"
#include "src/io/json_reader.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int deepest = 3;  ///< folders inside folders that are looked into

bool is_run(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / "config.yaml", error) ||
         fs::is_regular_file(folder / "metrics.jsonl", error);
}

std::optional<double> number(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

template <class Integer>
std::optional<Integer> whole_number(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number_integer() ? std::optional(found->get<Integer>())
                                                             : std::nullopt;
}

std::string text(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : "";
}

void read_epoch(const json& record, RunFigures& run) {
  run.epochs_done = std::max(run.epochs_done, whole_number<int>(record, "epoch").value_or(0));
  run.train_loss = number(record, "train_loss");
  run.val_loss = number(record, "val_loss");
  run.val_accuracy = number(record, "val_accuracy");
  run.images_per_second = number(record, "images_per_second");
  if (run.val_accuracy)
    run.best_val_accuracy = std::max(run.best_val_accuracy.value_or(0), *run.val_accuracy);
}

void read_summary(const json& record, RunFigures& run) {
  run.seconds = number(record, "seconds");
  run.test_accuracy = number(record, "test_accuracy");
  run.ranks = whole_number<int>(record, "ranks");
  run.engine = text(record, "engine");
  if (const auto signs = record.find("signs"); signs != record.end() && signs->is_array()) {
    for (const json& sign : *signs)
      if (sign.is_string()) run.notes.push_back(sign.get<std::string>());
  }
}

/// Whether there is a summary.
bool read_metrics(const fs::path& path, RunFigures& run) {
  std::error_code error;
  if (!fs::exists(path, error)) return false;
  std::istringstream lines(read_file(path));
  bool finished = false;
  int broken = 0;
  double seconds = 0;
  for (std::string line; std::getline(lines, line);) {
    const json record = read_json_line(line);
    if (!record.is_object()) {
      ++broken;
    } else if (text(record, "event") == "summary") {
      read_summary(record, run);
      finished = true;
    } else if (!record.contains("event")) {
      finished = false;  // the run was resumed for more
      read_epoch(record, run);
      seconds += number(record, "seconds").value_or(0);
    }
  }
  if (!finished && run.epochs_done > 0) run.seconds = seconds;
  if (broken > 0)
    run.notes.push_back(fmt::format("metrics.jsonl: {} broken line{}", broken, broken == 1 ? "" : "s"));
  return finished;
}

/// The first line, for a table.
std::string first_line(const std::string& words) {
  return words.substr(0, words.find('\n'));
}

/// Calls `read` for a file. If it fails, adds the reason to the notes.
template <class Read>
void attempt(RunFigures& run, const char* file, Read&& read) {
  try {
    read();
  } catch (const std::exception& error) {
    run.notes.push_back(fmt::format("{} cannot be read: {}", file, first_line(reason_of(error))));
  }
}

}  // namespace

RunFigures read_run(const fs::path& folder) {
  RunFigures run;
  run.folder = folder;
  run.name = run.network = folder.filename().string();
  std::error_code error;
  const char* newest = fs::is_regular_file(folder / "metrics.jsonl", error) ? "metrics.jsonl" : "config.yaml";
  run.changed = fs::last_write_time(folder / newest, error);
  attempt(run, "config.yaml", [&] {
    const Config config = load_config((folder / "config.yaml").string(), {});
    run.network = config.name;
    run.epochs = config.train.epochs;
  });
  bool finished = false;
  attempt(run, "metrics.jsonl", [&] { finished = read_metrics(folder / "metrics.jsonl", run); });
  if (is_in_use(folder / "train.log")) {  // Console::log_to marks it
    run.state = RunState::running;
  } else if (fs::exists(folder / "failure.json", error)) {
    run.state = RunState::failed;
    attempt(run, "failure.json", [&] {
      const std::string bytes = read_file(folder / "failure.json", 1 << 20);
      run.notes.push_back(first_line(text(read_json(bytes, "it", 8), "reason")));
    });
  } else if (finished) {
    run.state = RunState::finished;
  }
  return run;
}

std::vector<RunFigures> list_runs(const fs::path& folder) {
  std::vector<RunFigures> runs;
  if (is_run(folder)) return {read_run(folder)};
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code gone;
    if (!entry->is_directory(gone)) continue;
    if (is_run(entry->path())) {
      runs.push_back(read_run(entry->path()));
      runs.back().name = entry->path().lexically_relative(folder).string();
      entry.disable_recursion_pending();
    } else if (entry.depth() + 1 >= deepest) {
      entry.disable_recursion_pending();
    }
  }
  std::sort(runs.begin(), runs.end(), [](const RunFigures& a, const RunFigures& b) {
    return a.changed != b.changed ? a.changed > b.changed : a.name < b.name;
  });
  return runs;
}

}  // namespace convoy
