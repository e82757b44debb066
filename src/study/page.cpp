#include "src/study/page.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "src/io/atomic_file.h"
#include "src/io/json_line.h"
#include "src/study/svg.h"
#include "src/study/tables.h"

namespace convoy {
namespace {

// Readable from a telephone's width on, by day and by night; nothing is loaded from elsewhere.
constexpr const char* style = R"(
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24; --faint: #d7dbe0; --soft: #f4f6f8;
  --s0: #2563c9; --s1: #d4572a; --s2: #2a8a4a; --s3: #8a4fbf; --s4: #b8860b; --s5: #14868c; --s6: #c23a7a; --s7: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e6e9ec; --faint: #3a4148; --soft: #1d2226;
  --s0: #6ea8ff; --s1: #ff9166; --s2: #5fd08a; --s3: #c49bff; --s4: #f0c14b; --s5: #5fd0d6; --s6: #ff8fc0; --s7: #a3acb7; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--faint); }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--text); font-size: 12px; } svg text.group { font-weight: bold; font-size: 13px; } svg text.small { font-size: 9px; }
.grid { stroke: var(--faint); stroke-width: 1; } .spread { stroke: var(--text); stroke-width: 1.5; }
polyline { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 5 4; }
.s0 { --own: var(--s0); } .s1 { --own: var(--s1); } .s2 { --own: var(--s2); } .s3 { --own: var(--s3); }
.s4 { --own: var(--s4); } .s5 { --own: var(--s5); } .s6 { --own: var(--s6); } .s7 { --own: var(--s7); }
rect, circle { fill: var(--own); } polyline { stroke: var(--own); } .legend span { color: var(--own); }
.legend { margin: .25rem 0; font-size: 14px; } .table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 14px; } th, td { padding: .25rem .75rem .25rem 0; text-align: left;
  border-bottom: 1px solid var(--faint); white-space: nowrap; } td.number { text-align: right; }
.bad { color: var(--s1); font-weight: bold; } code { background: var(--soft); padding: 0 .25rem; }
)";

bool is_number(const std::string& text) {
  return !text.empty() && (text == "-" || (text[0] >= '0' && text[0] <= '9'));
}

std::string html_table(const StudyTable& table) {
  std::string out = fmt::format("<h3>{}</h3>\n<div class=\"table\"><table>\n<tr>", html_text(table.title));
  for (const std::string& column : table.columns) out += fmt::format("<th>{}</th>", html_text(column));
  out += "</tr>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (const std::string& cell : row) {
      const char* kind = cell == "FAILED" ? " class=\"bad\"" : is_number(cell) ? " class=\"number\"" : "";
      out += fmt::format("<td{}>{}</td>", kind, html_text(cell));
    }
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string section(const char* title, const std::string& text) {
  return text.empty() ? "" : fmt::format("<section><h2>{}</h2>\n{}</section>\n", title, text);
}

std::string machine_part(const StudyResults& results) {
  std::string out = "<div class=\"table\"><table>\n";
  for (const auto& [what, is] : results.machine)
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", html_text(what), html_text(is));
  out += "</table></div>\n";
  for (const std::string& line : results.left_out)
    out += fmt::format("<p>Left out: {}</p>\n", html_text(line));
  for (const std::string& line : results.failures)
    out += fmt::format("<p class=\"bad\">Failed: {}</p>\n", html_text(line));
  return out;
}

std::string speed_part(const Study& study, const StudyResults& results) {
  if (results.speeds.empty()) return {};
  const std::size_t base = sequential_engine(study, results);
  std::vector<BarGroup> groups;
  for (std::size_t v = 0; v < study.variants.size(); ++v) {
    BarGroup group{study.variants[v].name, {}};
    const SpeedResult* one = results.speed(v, base);
    for (std::size_t e = 0; e < study.engines.size(); ++e) {
      const SpeedResult* speed = results.speed(v, e);
      if (speed == nullptr) continue;
      const std::string times = one != nullptr ? fmt::format("{:.3g}×", speed->median() / one->median()) : "";
      group.bars.push_back({study.engines[e].name(), speed->median(), speed->images_per_second.front(),
                            speed->images_per_second.back(), times, e});
    }
    if (!group.bars.empty()) groups.push_back(std::move(group));
  }
  return fmt::format(
             "<p>Images per second of whole training steps, forward, backward and update, on a logarithmic "
             "axis. Behind each bar: "
             "times {}. Lines across: lowest and highest round.</p>\n",
             html_text(study.engines[base].name())) +
         bar_chart({"Images per second by network and engine", "images/s", "", true, false}, groups);
}

std::string scaling_part(const Study& study, const StudyResults& results) {
  std::map<std::string, std::vector<Series>> charts;  // one for threads, one for ranks, one for GPUs
  for (const ScalingCurve& curve : scaling_curves(study, results)) {
    Series series{study.variants[curve.variant].name, {}};
    for (const auto& [n, speedup] : curve.speedups) series.points.emplace_back(n, speedup);
    charts[curve.what].push_back(std::move(series));
  }
  std::string out;
  for (auto& [what, series] : charts) {
    Series ideal{"ideal", {}, true};
    double most = 1;
    for (const Series& s : series) most = std::max(most, s.points.back().first);
    ideal.points = {{1, 1}, {most, most}};
    series.push_back(std::move(ideal));
    out += line_chart({"Speed-up over one: " + what, "number of " + what, "times the speed of one"}, series);
  }
  return out;
}

std::string step_part(const Study& study, const StudyResults& results) {
  std::string out;
  std::vector<Series> roofline;
  for (const CallsResult& result : results.calls) {
    const std::string what =
        study.variants[result.variant].name + " on " + study.engines[result.engine].name();
    std::vector<Share> parts;
    Series dots{what, {}, false, true};
    for (const StudyCall& call : result.calls) {
      const std::string part = part_of_step(call);
      const auto found =
          std::find_if(parts.begin(), parts.end(), [&](const Share& s) { return s.name == part; });
      (found == parts.end() ? parts.emplace_back(Share{part, 0}) : *found).value += call.seconds;
      if (call.flops > 0 && call.bytes > 0 && call.seconds > 0)
        dots.points.emplace_back(call.flops / call.bytes, call.flops / call.seconds / 1e9);
    }
    out += fmt::format("<h3>{}</h3>\n", html_text(what)) + stacked_bar("Parts of a step of " + what, parts);
    roofline.push_back(std::move(dots));
    if (result.flops_per_second > 0 && result.bytes_per_second > 0) {
      const double ridge = result.flops_per_second / result.bytes_per_second,
                   peak = result.flops_per_second / 1e9;
      roofline.push_back({"limit of " + study.engines[result.engine].name(),
                          {{0.01, 0.01 * result.bytes_per_second / 1e9},
                           {ridge, peak},
                           {std::max(1000.0, 10 * ridge), peak}},
                          true});
    }
  }
  if (!roofline.empty()) {
    out +=
        "<h3>Every call under the roof</h3>\n<p>What a call computes for each byte that it must move, and "
        "how fast it does "
        "(S. Williams, A. Waterman, D. Patterson, \u201cRoofline\u201d, CACM 52(4), 2009). The dashed line "
        "is what this machine "
        "reached when asked for multiply-adds or copies alone.</p>\n" +
        line_chart({"Roofline of all calls", "FLOP per byte", "GFLOP/s", true, true}, roofline);
  }
  return out;
}

std::string training_part(const Study& study, const StudyResults& results) {
  std::vector<Series> by_epoch, by_seconds;
  for (const RunResult& run : results.runs) {
    const std::string name =
        study.variants[run.variant].name + (study.seeds.size() > 1 ? fmt::format(", seed {}", run.seed) : "");
    Series epochs{name, {}}, seconds{name, {}};
    for (const EpochResult& epoch : run.epochs) {
      epochs.points.emplace_back(epoch.epoch, 100 * epoch.val_accuracy);
      seconds.points.emplace_back(epoch.seconds, 100 * epoch.val_accuracy);
    }
    by_epoch.push_back(std::move(epochs)), by_seconds.push_back(std::move(seconds));
  }
  if (by_epoch.empty()) return {};
  std::string out = line_chart({"Accuracy over epochs", "epoch", "accuracy, %"}, by_epoch) +
                    line_chart({"Accuracy over seconds", "seconds of training", "accuracy, %"}, by_seconds);
  for (const RunResult& run : results.runs) {
    if (run.confusion.empty() || run.confusion.size() > 40 || run.seed != study.seeds.front()) continue;
    out += fmt::format("<h3>Answers of {}</h3>\n<p>Rows are labels, columns answers.</p>\n",
                       html_text(study.variants[run.variant].name)) +
           heat_map("Confusion matrix of " + study.variants[run.variant].name, run.classes, run.confusion);
  }
  return out;
}

}  // namespace

std::string study_page(const Study& study, const StudyResults& results) {
  std::map<std::string, std::string> tables;
  for (const StudyTable& table : tables_of(study, results)) tables[table.name] = html_table(table);
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title>\n<link rel=\"icon\" "
      "href=\"data:,\">\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      html_text(study.title), style);
  out += section("What it was run on", machine_part(results));
  out += section("Do all engines compute the same?", tables["correctness"]);
  out += section("How fast is it?", speed_part(study, results) + tables["speeds"]);
  out += section("What do more cores, ranks or GPUs give?", scaling_part(study, results) + tables["scaling"]);
  out += section("Where does the time go?", step_part(study, results) + tables["calls"]);
  out += section("Networks side by side", tables["networks"]);
  out += section("What was learned", training_part(study, results) + tables["runs"]);
  return out + "</body>\n</html>\n";
}

std::string study_json(const Study& study, const StudyResults& results) {
  using Json = nlohmann::ordered_json;
  Json json = {{"title", study.title},
               {"machine", Json::object()},
               {"left_out", results.left_out},
               {"failures", results.failures}};
  for (const auto& [what, is] : results.machine) json["machine"][what] = is;
  const auto where = [&](std::size_t variant, std::size_t engine) {
    return Json{{"network", study.variants[variant].name}, {"engine", study.engines[engine].name()}};
  };
  const auto number = [](double x) { return std::isfinite(x) ? Json(x) : Json(); };
  json["correctness"] = Json::array(), json["speeds"] = Json::array(), json["scaling"] = Json::array(),
  json["runs"] = Json::array();
  for (const GateResult& gate : results.gates) {
    Json& row = json["correctness"].emplace_back(where(gate.variant, gate.engine));
    row["difference"] = number(gate.difference), row["limit"] = gate.limit, row["passed"] = gate.passed();
  }
  for (const SpeedResult& speed : results.speeds) {
    Json& row = json["speeds"].emplace_back(where(speed.variant, speed.engine));
    row["images_per_second"] = speed.median(), row["rounds"] = speed.images_per_second;
    row["flops_per_image"] = speed.flops_per_image, row["bytes"] = speed.bytes;
  }
  for (const ScalingCurve& curve : scaling_curves(study, results)) {
    json["scaling"].push_back({{"network", study.variants[curve.variant].name},
                               {"of", curve.what},
                               {"speedups", curve.speedups},
                               {"serial_fraction", curve.serial_fraction()}});
  }
  for (const RunResult& run : results.runs) {
    Json& row = json["runs"].emplace_back(
        Json{{"network", study.variants[run.variant].name}, {"engine", run.figures.engine}});
    row["seed"] = run.seed, row["folder"] = run.figures.folder.string(), row["epochs"] = Json::array();
    for (const EpochResult& epoch : run.epochs) {
      row["epochs"].push_back({{"epoch", epoch.epoch},
                               {"train_loss", number(epoch.train_loss)},
                               {"val_loss", number(epoch.val_loss)},
                               {"val_accuracy", number(epoch.val_accuracy)},
                               {"seconds", number(epoch.seconds)}});
    }
  }
  return to_json_text(json, 2) + "\n";
}

void write_study(const Study& study, const StudyResults& results, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "tables");
  for (const StudyTable& table : tables_of(study, results)) {
    write_file_atomically(folder / "tables" / (table.name + ".csv"), to_csv(table));
    write_file_atomically(folder / "tables" / (table.name + ".tex"), to_latex(table));
  }
  write_file_atomically(folder / "study.json", study_json(study, results));
  write_file_atomically(folder / "index.html", study_page(study, results));
}

}  // namespace convoy
