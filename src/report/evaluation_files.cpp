#include "src/report/evaluation_files.h"

#include <algorithm>
#include <numeric>

#include "core/printable.h"
#include "src/io/atomic_file.h"
#include "src/io/csv.h"
#include "src/io/json_line.h"

namespace convoy {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t most_rows = 50, rows_of_many = 20, largest_matrix = 20;

Json or_null(const std::optional<double>& figure) {
  return figure ? Json(*figure) : Json();
}

/// As short as reads back to the same bits.
std::string or_empty(const std::optional<double>& figure) {
  return figure ? fmt::format("{}", *figure) : std::string();
}

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.2f} %", 100 * *share) : "-";
}

std::span<const std::int64_t> row_of(const Evaluation& evaluation, std::size_t label) {
  const std::size_t classes = evaluation.classes.size();
  return std::span(evaluation.confusion).subspan(label * classes, classes);
}

/// The labels of the classes that a terminal shows.
std::vector<std::size_t> shown_classes(const Evaluation& evaluation) {
  std::vector<std::size_t> labels(evaluation.classes.size());
  std::iota(labels.begin(), labels.end(), std::size_t{0});
  if (labels.size() <= most_rows) return labels;
  const auto f1 = [&](std::size_t label) { return evaluation.classes[label].f1().value_or(2); };
  std::stable_sort(labels.begin(), labels.end(), [&](auto a, auto b) { return f1(a) < f1(b); });
  labels.resize(rows_of_many);
  return labels;
}

std::string matrix_table(const Evaluation& evaluation, const std::vector<std::string>& names) {
  std::string out = "images by class (rows) and by answer (columns, in the order of the rows)\n";
  const std::int64_t most = *std::max_element(evaluation.confusion.begin(), evaluation.confusion.end());
  const std::size_t width = std::to_string(most).size() + 1;
  for (std::size_t label = 0; label < evaluation.classes.size(); ++label) {
    for (const std::int64_t count : row_of(evaluation, label)) out += fmt::format("{:>{}}", count, width);
    out += format_printable("  {}\n", name_of_class(names, static_cast<int>(label)));
  }
  return out;
}

}  // namespace

std::string name_of_class(const std::vector<std::string>& names, int label) {
  const auto i = static_cast<std::size_t>(label);
  return i < names.size() ? names[i] : std::to_string(label);
}

std::string evaluation_json(const Evaluation& evaluation, const EvaluationSource& source,
                            const std::vector<std::string>& names) {
  Json classes = Json::array(), confusion = Json::array();
  for (std::size_t label = 0; label < evaluation.classes.size(); ++label) {
    const ClassFigures& figures = evaluation.classes[label];
    classes.push_back({{"label", label},
                       {"class", name_of_class(names, static_cast<int>(label))},
                       {"support", figures.support},
                       {"answers", figures.answers},
                       {"correct", figures.correct},
                       {"precision", or_null(figures.precision())},
                       {"recall", or_null(figures.recall())},
                       {"f1", or_null(figures.f1())}});
    const std::span<const std::int64_t> row = row_of(evaluation, label);
    confusion.push_back(std::vector<std::int64_t>(row.begin(), row.end()));
  }
  const Json json = {{"part", source.part},
                     {"weights", source.weights},
                     {"images", evaluation.images},
                     {"correct", evaluation.correct},
                     {"loss", source.loss},
                     {"top_1_accuracy", evaluation.top_1_accuracy()},
                     {"top_5_accuracy", evaluation.top_5_accuracy()},
                     {"expected_calibration_error", evaluation.calibration_error},
                     {"calibration_bins", calibration_bins},
                     {"classes", std::move(classes)},
                     {"confusion", std::move(confusion)}};
  std::vector<std::string> members;
  for (const auto& [key, value] : json.items()) {
    std::vector<std::string> rows;
    if (value.is_array())
      for (const Json& row : value) rows.push_back("\n    " + to_json_line(row));
    members.push_back(
        fmt::format("\n  \"{}\": {}", key,
                    value.is_array() ? fmt::format("[{}\n  ]", fmt::join(rows, ",")) : to_json_line(value)));
  }
  return fmt::format("{{{}\n}}\n", fmt::join(members, ","));
}

std::string evaluation_csv(const Evaluation& evaluation, const std::vector<std::string>& names) {
  std::string out = "label,class,support,answers,correct,precision,recall,f1\n";
  for (std::size_t label = 0; label < evaluation.classes.size(); ++label) {
    const ClassFigures& figures = evaluation.classes[label];
    out += fmt::format("{},{},{},{},{},{},{},{}\n", label,
                       csv_field(name_of_class(names, static_cast<int>(label))), figures.support,
                       figures.answers, figures.correct, or_empty(figures.precision()),
                       or_empty(figures.recall()), or_empty(figures.f1()));
  }
  return out;
}

std::string confusion_csv(const Evaluation& evaluation, const std::vector<std::string>& names) {
  std::string header = "class", rows;
  for (std::size_t label = 0; label < evaluation.classes.size(); ++label) {
    const std::string name = csv_field(name_of_class(names, static_cast<int>(label)));
    header += "," + name;
    rows += fmt::format("{},{}\n", name, fmt::join(row_of(evaluation, label), ","));
  }
  return header + "\n" + rows;
}

std::string evaluation_table(const Evaluation& evaluation, const std::vector<std::string>& names) {
  const std::size_t classes = evaluation.classes.size();
  std::string out = fmt::format("top-1 accuracy {}, top-5 accuracy {}, expected calibration error {}\n",
                                percent(evaluation.top_1_accuracy()), percent(evaluation.top_5_accuracy()),
                                percent(evaluation.calibration_error));
  const std::vector<std::size_t> shown = shown_classes(evaluation);
  if (shown.size() < classes)
    out += fmt::format("the {} of {} classes with the lowest F1; --csv FILE writes all\n", shown.size(),
                       classes);
  out += fmt::format("{:>10} {:>10} {:>10} {:>10}  class\n", "precision", "recall", "F1", "images");
  for (const std::size_t label : shown) {
    const ClassFigures& figures = evaluation.classes[label];
    out += fmt::format("{:>10} {:>10} {:>10} {:>10}", percent(figures.precision()), percent(figures.recall()),
                       percent(figures.f1()), figures.support);
    out += format_printable("  {}\n", name_of_class(names, static_cast<int>(label)));
  }
  return classes <= largest_matrix ? out + matrix_table(evaluation, names) : out;
}

void write_evaluation(const std::filesystem::path& folder, const Evaluation& evaluation,
                      const EvaluationSource& source, const std::vector<std::string>& names) {
  write_file_atomically(folder / "evaluation.json", evaluation_json(evaluation, source, names));
  write_file_atomically(folder / "evaluation.csv", evaluation_csv(evaluation, names));
  write_file_atomically(folder / "confusion.csv", confusion_csv(evaluation, names));
}

}  // namespace convoy
