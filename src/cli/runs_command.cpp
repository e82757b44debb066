#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "src/cli/commands.h"
#include "src/io/csv.h"
#include "src/io/json_line.h"
#include "src/report/step_progress.h"
#include "src/run/run_list.h"

namespace convoy {
namespace {

template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

/// The figures under the names that metrics.jsonl has for them; null where they are not known.
nlohmann::ordered_json to_json(const RunFigures& run) {
  return {{"run", run.name},
          {"folder", run.folder.string()},
          {"network", run.network},
          {"state", name_of(run.state)},
          {"epochs_done", run.epochs_done},
          {"epochs", or_null(run.epochs)},
          {"best_val_accuracy", or_null(run.best_val_accuracy)},
          {"val_accuracy", or_null(run.val_accuracy)},
          {"test_accuracy", or_null(run.test_accuracy)},
          {"train_loss", or_null(run.train_loss)},
          {"val_loss", or_null(run.val_loss)},
          {"images_per_second", or_null(run.images_per_second)},
          {"seconds", or_null(run.seconds)},
          {"ranks", or_null(run.ranks)},
          {"engine", run.engine.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(run.engine)},
          {"notes", run.notes}};
}

void print_json(const std::vector<RunFigures>& runs) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const RunFigures& run : runs) all.push_back(to_json(run));
  fmt::print("{}\n", to_json_text(all, 2));
}

void print_csv(const std::vector<RunFigures>& runs) {
  for (std::size_t i = 0; i <= runs.size(); ++i) {
    std::vector<std::string> row;
    const nlohmann::ordered_json figures = to_json(i == 0 ? RunFigures{} : runs[i - 1]);
    for (const auto& [key, value] : figures.items()) {
      if (i == 0)
        row.push_back(key);
      else if (value.is_string())
        row.push_back(csv_field(value.get<std::string>()));
      else if (value.is_array())
        row.push_back(csv_field(fmt::format("{}", fmt::join(value.get<std::vector<std::string>>(), "; "))));
      else
        row.push_back(value.is_null() ? "" : value.dump());
    }
    fmt::print("{}\n", fmt::join(row, ","));
  }
}

template <class T, class Format>
std::string or_dash(const std::optional<T>& value, Format format) {
  return value ? format(*value) : "-";
}

struct Column {
  std::string title;
  bool is_number;
  std::function<std::string(const RunFigures&)> text;
};

std::vector<Column> columns() {
  const auto percent = [](double share) { return fmt::format("{:.2f} %", 100 * share); };
  const auto loss = [](double value) { return fmt::format("{:.4f}", value); };
  return {
      {"run", false, [](const RunFigures& r) { return r.name; }},
      {"network", false, [](const RunFigures& r) { return r.network; }},
      {"state", false, [](const RunFigures& r) { return name_of(r.state); }},
      {"epochs", true,
       [](const RunFigures& r) {
         return fmt::format("{}/{}", r.epochs_done,
                            or_dash(r.epochs, [](int n) { return std::to_string(n); }));
       }},
      {"best val", true, [=](const RunFigures& r) { return or_dash(r.best_val_accuracy, percent); }},
      {"test", true, [=](const RunFigures& r) { return or_dash(r.test_accuracy, percent); }},
      {"loss", true, [=](const RunFigures& r) { return or_dash(r.train_loss, loss); }},
      {"val loss", true, [=](const RunFigures& r) { return or_dash(r.val_loss, loss); }},
      {"images/s", true,
       [](const RunFigures& r) {
         return or_dash(r.images_per_second, [](double rate) { return fmt::format("{:.0f}", rate); });
       }},
      {"time", true, [](const RunFigures& r) { return or_dash(r.seconds, clock_text); }},
      {"ranks", true,
       [](const RunFigures& r) { return or_dash(r.ranks, [](int n) { return std::to_string(n); }); }},
      {"engine", false, [](const RunFigures& r) { return r.engine.empty() ? "-" : r.engine; }},
      {"notes", false, [](const RunFigures& r) { return fmt::format("{}", fmt::join(r.notes, "; ")); }},
  };
}

/// Columns that say nothing of any run are left out.
void print_table(const std::vector<RunFigures>& runs) {
  std::vector<std::string> lines(runs.size() + 1);
  for (const Column& column : columns()) {
    std::vector<std::string> cells{column.title};
    for (const RunFigures& run : runs) cells.push_back(printable(column.text(run)));
    if (std::all_of(cells.begin() + 1, cells.end(),
                    [](const auto& cell) { return cell.empty() || cell == "-"; }))
      continue;
    std::size_t width = 0;
    for (const std::string& cell : cells) width = std::max(width, cell.size());
    for (std::size_t i = 0; i < cells.size(); ++i)
      lines[i] += column.is_number ? fmt::format("{:>{}}  ", cells[i], width)
                                   : fmt::format("{:<{}}  ", cells[i], width);
  }
  for (const std::string& line : lines) fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
}

}  // namespace

int run(const CommandContext& context, const RunsArguments& arguments) {
  if (!context.ranks.is_root()) return static_cast<int>(ExitCode::done);
  if (!std::filesystem::is_directory(arguments.folder))
    fail("{}: no such folder; runs are in the folder where `convoy train` was started, or in --output",
         arguments.folder);
  const std::vector<RunFigures> runs = list_runs(arguments.folder);
  if (arguments.json)
    print_json(runs);
  else if (arguments.csv)
    print_csv(runs);
  else if (runs.empty())
    print_printable("no runs in {}\n", arguments.folder);
  else
    print_table(runs);
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
