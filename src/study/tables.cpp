#include "src/study/tables.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "src/io/csv.h"

namespace convoy {
namespace {

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.2f}", 100 * share) : "-";
}

/// Three digits, whatever the size: 0.0123, 1.23, 123, 12,300.
std::string figure(double x) {
  if (!std::isfinite(x)) return "-";
  if (std::abs(x) >= 100) return fmt::format("{:.0f}", x);
  return fmt::format("{:.3g}", x);
}

StudyTable gate_table(const Study& study, const StudyResults& results) {
  StudyTable table{"correctness",
                   "Losses of the first steps beside plain loops in double precision",
                   {"network", "engine", "largest difference", "limit", "verdict"},
                   {}};
  for (const GateResult& gate : results.gates) {
    table.rows.push_back({study.variants[gate.variant].name, study.engines[gate.engine].name(),
                          fmt::format("{:.1e}", gate.difference), fmt::format("{:.0e}", gate.limit),
                          gate.passed() ? "passed" : "FAILED"});
  }
  return table;
}

StudyTable speed_table(const Study& study, const StudyResults& results) {
  if (results.speeds.empty()) return {};
  const std::size_t base = sequential_engine(study, results);
  StudyTable table{"speeds",
                   "Speed of whole training steps: median, lowest and highest of the rounds",
                   {"network", "engine", "images/s", "lowest", "highest",
                    "times " + study.engines[base].name(), "MFLOP per image"},
                   {}};
  for (std::size_t v = 0; v < study.variants.size(); ++v) {
    const SpeedResult* one = results.speed(v, base);
    for (std::size_t e = 0; e < study.engines.size(); ++e) {
      const SpeedResult* speed = results.speed(v, e);
      if (speed == nullptr) continue;
      table.rows.push_back({study.variants[v].name, study.engines[e].name(), figure(speed->median()),
                            figure(speed->images_per_second.front()), figure(speed->images_per_second.back()),
                            one != nullptr ? figure(speed->median() / one->median()) : "-",
                            speed->flops_per_image > 0 ? figure(speed->flops_per_image / 1e6) : "-"});
    }
  }
  return table;
}

StudyTable scaling_table(const Study& study, const StudyResults& results) {
  StudyTable table{"scaling",
                   "Strong scaling: the same batch on more of them",
                   {"network", "of", "number", "speed-up", "efficiency, %", "serial fraction, % (Karp-Flatt)",
                    "fitted, % (Amdahl)"},
                   {}};
  for (const ScalingCurve& curve : scaling_curves(study, results)) {
    for (const auto& [n, speedup] : curve.speedups) {
      table.rows.push_back({study.variants[curve.variant].name, curve.what, std::to_string(n),
                            figure(speedup), percent(speedup / n),
                            n > 1 ? percent(karp_flatt(n, speedup)) : "-", percent(curve.serial_fraction())});
    }
  }
  return table;
}

/// Networks side by side, on the engine that each was trained on, else the fastest.
StudyTable variant_table(const Study& study, const StudyResults& results) {
  StudyTable table{"networks",
                   "Networks side by side",
                   {"network", "MFLOP per image", "memory of a rank, MiB", "fastest engine", "images/s",
                    "accuracy", "runs", "training, s"},
                   {}};
  for (std::size_t v = 0; v < study.variants.size(); ++v) {
    const SpeedResult* best = nullptr;
    for (const SpeedResult& speed : results.speeds) {
      if (speed.variant == v && study.engines[speed.engine].pytorch.empty() &&
          (best == nullptr || speed.median() > best->median()))
        best = &speed;
    }
    const std::optional<Accuracy> accuracy = accuracy_of(results, v);
    if (best == nullptr && !accuracy) continue;
    std::vector<std::string> row{study.variants[v].name};
    if (best != nullptr) {
      row.insert(row.end(), {figure(best->flops_per_image / 1e6), figure(best->bytes / (1 << 20)),
                             study.engines[best->engine].name(), figure(best->median())});
    } else {
      row.insert(row.end(), {"-", "-", "-", "-"});
    }
    if (accuracy) {
      row.insert(row.end(),
                 {percent(accuracy->mean), accuracy->runs > 1 ? percent(accuracy->deviation) : "-"});
      row.insert(row.end(), {std::to_string(accuracy->runs), figure(accuracy->seconds)});
    } else {
      row.insert(row.end(), {"-", "-", "0", "-"});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

StudyTable call_table(const Study& study, const StudyResults& results) {
  StudyTable table{"calls",
                   "What takes nine tenths of a step",
                   {"network", "engine", "layer", "call", "shape", "ms", "share, %", "GFLOP/s", "GB/s"},
                   {}};
  for (const CallsResult& result : results.calls) {
    double total = 0;
    for (const StudyCall& call : result.calls) total += call.seconds;
    for (const StudyCall& call : longest_calls(result)) {
      table.rows.push_back({study.variants[result.variant].name, study.engines[result.engine].name(),
                            call.node, call.call, call.shape, figure(call.seconds * 1e3),
                            percent(call.seconds / total), figure(call.flops / call.seconds / 1e9),
                            figure(call.bytes / call.seconds / 1e9)});
    }
  }
  return table;
}

StudyTable run_table(const Study& study, const StudyResults& results) {
  StudyTable table{
      "runs", "Trainings", {"network", "seed", "engine", "epochs", "accuracy, %", "seconds", "folder"}, {}};
  for (const RunResult& run : results.runs) {
    const double accuracy = run.epochs.empty() ? std::nan("") : run.epochs.back().val_accuracy;
    table.rows.push_back({study.variants[run.variant].name, std::to_string(run.seed), run.figures.engine,
                          std::to_string(run.figures.epochs_done), percent(accuracy),
                          figure(run.figures.seconds.value_or(std::nan(""))),
                          run.figures.folder.filename().string()});
  }
  return table;
}

std::string latex_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("&%$#_{}").find(c) != std::string_view::npos)
      out += std::string("\\") + c;
    else if (c == '~' || c == '^' || c == '\\')
      out += c == '\\' ? "\\textbackslash{}" : c == '~' ? "\\textasciitilde{}" : "\\textasciicircum{}";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::size_t sequential_engine(const Study& study, const StudyResults& results) {
  const auto find = [&](const std::function<bool(const StudyEngine&)>& suits) {
    for (std::size_t e = 0; e < study.engines.size(); ++e) {
      const bool measured = std::any_of(results.speeds.begin(), results.speeds.end(),
                                        [&](const auto& s) { return s.engine == e; });
      if (measured && suits(study.engines[e])) return e;
    }
    return study.engines.size();
  };
  std::size_t found = find([](const StudyEngine& e) { return e.device == Device::reference; });
  if (found == study.engines.size())
    found = find([](const StudyEngine& e) {
      return e.device == Device::cpu && e.threads == 1 && e.ranks == 1 && e.pytorch.empty();
    });
  return found == study.engines.size() ? 0 : found;
}

double ScalingCurve::serial_fraction() const {
  double above = 0, below = 0;
  for (const auto& [n, speedup] : speedups) {
    const double parallel = 1 - 1.0 / n;
    above += (1 / speedup - 1.0 / n) * parallel, below += parallel * parallel;
  }
  return below > 0 ? std::clamp(above / below, 0.0, 1.0) : 0;
}

double karp_flatt(int n, double speedup) {
  return (1 / speedup - 1.0 / n) / (1 - 1.0 / n);
}

std::vector<ScalingCurve> scaling_curves(const Study& study, const StudyResults& results) {
  std::vector<ScalingCurve> curves;
  for (std::size_t v = 0; v < study.variants.size(); ++v) {
    std::map<std::string, std::map<int, double>> speeds;  // "threads" -> number -> images/s
    for (const SpeedResult& speed : results.speeds) {
      if (speed.variant != v) continue;
      const StudyEngine& engine = study.engines[speed.engine];
      if (!engine.pytorch.empty()) continue;
      if (engine.device == Device::cuda)
        speeds[fmt::format("GPUs, {}", name_of(engine.precision))][engine.ranks] = speed.median();
      if (engine.device != Device::cpu) continue;
      if (engine.ranks == 1 && engine.threads > 0) speeds["threads"][engine.threads] = speed.median();
      if (engine.threads <= 1 && (engine.threads == 1 || engine.ranks > 1))
        speeds["ranks of one thread"][engine.ranks] = speed.median();
    }
    for (const auto& [what, by_number] : speeds) {
      if (by_number.size() < 2 || by_number.begin()->first != 1) continue;
      ScalingCurve curve{v, what, {}};
      for (const auto& [n, rate] : by_number)
        curve.speedups.emplace_back(n, rate / by_number.begin()->second);
      curves.push_back(std::move(curve));
    }
  }
  return curves;
}

std::vector<StudyCall> longest_calls(const CallsResult& calls) {
  std::vector<StudyCall> sorted = calls.calls;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  double total = 0, sum = 0;
  for (const StudyCall& call : sorted) total += call.seconds;
  std::size_t n = 0;
  while (n < sorted.size() && sum < 0.9 * total) sum += sorted[n++].seconds;
  sorted.resize(n);
  return sorted;
}

std::string part_of_step(const StudyCall& call) {
  const auto ends = [&](const char* text) { return call.call.ends_with(text); };
  if (call.node == "input" || call.call == "augment") return "batch: gather, augment, normalise";
  if (call.node == "loss") return "loss";
  if (ends(".fprop") || ends(".forward")) return "forward";
  if (ends("grad") || ends(".backward")) return "backward";
  return "optimizer and sums";
}

std::optional<Accuracy> accuracy_of(const StudyResults& results, std::size_t variant) {
  std::vector<double> values;
  Accuracy accuracy;
  for (const RunResult& run : results.runs) {
    if (run.variant != variant || run.epochs.empty()) continue;
    values.push_back(run.epochs.back().val_accuracy);
    accuracy.seconds += run.epochs.back().seconds;
  }
  if (values.empty()) return std::nullopt;
  const auto n = static_cast<double>(values.size());
  accuracy.runs = static_cast<int>(values.size());
  accuracy.seconds /= n;
  for (const double value : values) accuracy.mean += value / n;
  for (const double value : values) accuracy.deviation += (value - accuracy.mean) * (value - accuracy.mean);
  accuracy.deviation = values.size() > 1 ? std::sqrt(accuracy.deviation / (n - 1)) : 0;
  return accuracy;
}

std::vector<StudyTable> tables_of(const Study& study, const StudyResults& results) {
  std::vector<StudyTable> tables{gate_table(study, results),    speed_table(study, results),
                                 scaling_table(study, results), variant_table(study, results),
                                 call_table(study, results),    run_table(study, results)};
  std::erase_if(tables, [](const StudyTable& table) { return table.rows.empty(); });
  return tables;
}

std::string to_csv(const StudyTable& table) {
  const auto line = [](const std::vector<std::string>& cells) {
    std::vector<std::string> fields;
    for (const std::string& cell : cells) fields.push_back(cell == "-" ? "" : csv_field(cell));
    return fmt::format("{}\n", fmt::join(fields, ","));
  };
  std::string text = line(table.columns);
  for (const auto& row : table.rows) text += line(row);
  return text;
}

std::string to_latex(const StudyTable& table) {
  const auto line = [](const std::vector<std::string>& cells) {
    std::vector<std::string> fields;
    for (const std::string& cell : cells) fields.push_back(latex_text(cell));
    return fmt::format("{} \\\\\n", fmt::join(fields, " & "));
  };
  std::string text = fmt::format("% {}\n\\begin{{tabular}}{{{}}}\n\\hline\n", table.title,
                                 std::string(table.columns.size(), 'l'));
  text += line(table.columns) + "\\hline\n";
  for (const auto& row : table.rows) text += line(row);
  return text + "\\hline\n\\end{tabular}\n";
}

}  // namespace convoy
