#include "src/study/results.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/io/json_reader.h"
#include "src/io/safetensors.h"

namespace convoy {
namespace {

constexpr int deepest = 8;

nlohmann::json json_of(const std::filesystem::path& file) {
  return read_json(read_file(file), file.string(), deepest);
}

double number_in(const nlohmann::json& json, const char* key, const std::filesystem::path& file) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) fail("{}: has no number \"{}\"", file.string(), key);
  return found->get<double>();
}
double number_or(const nlohmann::json& json, const char* key, double otherwise) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : otherwise;
}
std::string text_or_none(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<float> losses_in(const std::filesystem::path& file) {
  const TensorFile tensors = from_safetensors(safetensors_in(file), file.string(),
                                              [](const std::string& name) { return name == "curve.losses"; });
  const auto found = tensors.tensors.find("curve.losses");
  if (found == tensors.tensors.end()) fail("{}: has no losses", file.string());
  const auto values = floats_in(tensors, "curve.losses", found->second.shape);
  return {values.begin(), values.end()};
}

/// What sums in another order and rounded operands may come to in three steps.
double gate_limit(Precision precision) {
  switch (precision) {
    case Precision::fp32:
    case Precision::fp64:
      return 1e-4;
    case Precision::tf32:
      return 5e-3;
    case Precision::fp16:
      return 1e-2;
    case Precision::bf16:
      return 5e-2;
  }
  return 0;
}

}  // namespace

double SpeedResult::median() const {
  const std::size_t n = images_per_second.size();
  if (n == 0) return std::numeric_limits<double>::quiet_NaN();
  return (images_per_second[(n - 1) / 2] + images_per_second[n / 2]) / 2;
}

const SpeedResult* StudyResults::speed(std::size_t variant, std::size_t engine) const {
  const auto found = std::find_if(speeds.begin(), speeds.end(), [&](const SpeedResult& s) {
    return s.variant == variant && s.engine == engine;
  });
  return found == speeds.end() ? nullptr : &*found;
}

GateResult read_gate(const StudyCell& cell, const StudyCell& truth, const StudyEngine& engine) {
  const std::vector<float> right = losses_in(truth.result), losses = losses_in(cell.result);
  if (right.size() != losses.size())
    fail("{}: has {} losses instead of {}", cell.result.string(), losses.size(), right.size());
  GateResult gate{cell.variant, cell.engine, 0, gate_limit(engine.precision)};
  for (std::size_t i = 0; i < right.size(); ++i) {
    const double difference =
        std::abs(double{losses[i]} - right[i]) / std::max(std::abs(double{right[i]}), 1e-3);
    gate.difference = std::isnan(difference) ? difference : std::max(gate.difference, difference);
    if (std::isnan(gate.difference)) break;
  }
  return gate;
}

void add_speed(std::vector<SpeedResult>& speeds, const StudyCell& cell) {
  const nlohmann::json json = json_of(cell.result);
  auto found = std::find_if(speeds.begin(), speeds.end(), [&](const SpeedResult& s) {
    return s.variant == cell.variant && s.engine == cell.engine;
  });
  if (found == speeds.end()) found = speeds.insert(speeds.end(), SpeedResult{cell.variant, cell.engine, {}});
  std::vector<double>& rates = found->images_per_second;
  const double rate = number_in(json, "images_per_second", cell.result);
  rates.insert(std::upper_bound(rates.begin(), rates.end(), rate), rate);
  // PyTorch's are not counted: they are those of the network.
  found->flops_per_image = number_or(json, "flops", 0) / number_in(json, "global_batch", cell.result);
  if (const auto arenas = json.find("arenas"); arenas != json.end() && arenas->is_object())
    found->bytes = number_or(*arenas, "total", 0);
}

CallsResult read_calls(const StudyCell& cell) {
  const nlohmann::json json = json_of(cell.result);
  CallsResult result{cell.variant, cell.engine, number_in(json, "global_batch", cell.result), 0, 0, {}};
  if (const auto ceilings = json.find("ceilings"); ceilings != json.end() && ceilings->is_object()) {
    result.flops_per_second = number_or(*ceilings, "flops_per_second", 0);
    result.bytes_per_second = number_or(*ceilings, "bytes_per_second", 0);
  }
  const auto rows = json.find("rows");
  if (rows == json.end() || !rows->is_array()) fail("{}: has no rows", cell.result.string());
  for (const nlohmann::json& row : *rows) {
    const double count = number_or(row, "count", 1);
    result.calls.push_back({text_or_none(row, "node"), text_or_none(row, "call"), text_or_none(row, "shape"),
                            count * number_or(row, "seconds", 0), count * number_or(row, "flops", 0),
                            count * number_or(row, "bytes", 0)});
  }
  return result;
}

RunResult read_run_result(const StudyCell& cell) {
  RunResult run{cell.variant, cell.engine, cell.number, read_run(cell.result), {}, {}, {}};
  std::istringstream lines(read_file(cell.result / "metrics.jsonl"));
  double seconds = 0;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = read_json_line(line);
    if (!json.is_object() || json.contains("event") || !json.contains("epoch")) continue;
    const double unknown = std::numeric_limits<double>::quiet_NaN();
    seconds += number_or(json, "seconds", 0);
    run.epochs.push_back({static_cast<int>(number_or(json, "epoch", 0)),
                          number_or(json, "train_loss", unknown), number_or(json, "val_loss", unknown),
                          number_or(json, "val_accuracy", unknown), seconds});
  }
  const std::filesystem::path evaluation = cell.result / "evaluation.json";
  if (!std::filesystem::is_regular_file(evaluation)) return run;
  const nlohmann::json json = json_of(evaluation);
  if (const auto classes = json.find("classes"); classes != json.end() && classes->is_array()) {
    for (const nlohmann::json& one : *classes) run.classes.push_back(text_or_none(one, "class"));
  }
  if (const auto rows = json.find("confusion"); rows != json.end() && rows->is_array()) {
    for (const nlohmann::json& row : *rows) {
      std::vector<double>& to = run.confusion.emplace_back();
      for (const nlohmann::json& value : row) to.push_back(value.is_number() ? value.get<double>() : 0);
    }
  }
  return run;
}

}  // namespace convoy
