#include "src/config/named_model.h"

#include <generated/named_models.h>

#include <algorithm>
#include <iterator>

#include "src/config/codec.h"

namespace convoy {
namespace {

constexpr const char* kept[] = {"name", "init", "spare_scores"};  ///< keys of `model` that are no parameters

/// What the file's $P stand for.
using Parameters = std::vector<std::pair<std::string, Value>>;

Value file_of(const NamedModel& model) {
  return parse_yaml(model.text, model.name + ".yaml");
}

/// The defaults, and what the configuration says in their place.
Parameters parameters(const Value& file, const NamedModel& model, const Value& given) {
  Parameters all;
  std::vector<std::string> names{std::begin(kept), std::end(kept)};
  names.push_back("input");
  if (const Value* defaults = file.find("parameters")) {
    for (std::size_t i = 0; i < defaults->keys.size(); ++i) {
      all.emplace_back(defaults->keys[i], defaults->items[i]);
      names.push_back(defaults->keys[i]);
    }
  }
  for (std::size_t i = 0; i < given.keys.size(); ++i) {
    const auto parameter =
        std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.first == given.keys[i]; });
    if (parameter != all.end()) {
      parameter->second = given.items[i];
    } else if (std::find(names.begin(), names.end(), given.keys[i]) == names.end()) {
      const std::string near = did_you_mean(given.keys[i], names);
      Place{given.items[i], "model." + given.keys[i]}.refuse(
          "{} has no such parameter{}", model.name,
          near.empty() ? fmt::format("; expected one of {}", fmt::join(names, ", ")) : near);
    }
  }
  return all;
}

/// $P, or $P*F: F times that.
void substitute(Value& value, const Parameters& parameters) {
  for (Value& item : value.items) substitute(item, parameters);
  if (value.kind != Value::Kind::scalar || !value.text.starts_with('$')) return;
  const std::size_t times = std::min(value.text.find('*'), value.text.size());
  const std::string name = value.text.substr(1, times - 1);
  const auto parameter =
      std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) { return p.first == name; });
  check(parameter != parameters.end(), "a model's file uses the parameters that it names");
  const std::string factor = value.text.substr(std::min(times + 1, value.text.size()));
  value = parameter->second;
  if (factor.empty()) return;
  const Codec<double> real = number<double>();
  const double product = real.read({value, "model." + name}) * real.read({Value::scalar(factor), "factor"});
  value.text = fmt::format("{:.6g}", product);
}

std::string text_of(const Value& file, std::string_view key) {
  const Value* value = file.find(key);
  return value == nullptr ? "" : value->text;
}

}  // namespace

const std::vector<NamedModel>& named_models() {
  static const std::vector<NamedModel> models = [] {
    std::vector<NamedModel> all;
    for (const auto& [name, text] : generated::named_models) all.push_back({name, text});
    return all;
  }();
  return models;
}

const NamedModel& named_model(std::string_view name, std::string_view where) {
  std::vector<std::string> names;
  for (const NamedModel& model : named_models()) {
    if (model.name == name) return model;
    names.push_back(model.name);
  }
  fail_usage("{}unknown network {}{}; `convoy models` lists them", where, quote(name, 60),
             did_you_mean(std::string(name), names));
}

ModelFacts facts_of(const NamedModel& model) {
  const Value file = file_of(model);
  ModelFacts facts;
  facts.about = text_of(file, "about");
  if (const Value* weights = file.find("weights")) {
    facts.weights = text_of(*weights, "url");
    facts.checksum = text_of(*weights, "sha256");
  }
  if (const Value* defaults = file.find("parameters")) {
    for (std::size_t i = 0; i < defaults->keys.size(); ++i)
      facts.parameters.emplace_back(defaults->keys[i], write_flow(defaults->items[i]));
  }
  return facts;
}

std::optional<TimmNames> timm_names_of(const NamedModel& model) {
  const Value file = file_of(model);
  const Value* timm = file.find("timm");
  if (timm == nullptr) return std::nullopt;
  TimmNames names;
  names.network = text_of(*timm, "network");
  if (const Value* epsilon = timm->find("epsilon"))
    names.epsilon = number<double>().read({*epsilon, "timm.epsilon"});
  for (const Value& rule : timm->find("names")->items)
    names.rules.emplace_back(rule.items.at(0).text, rule.items.at(1).text);
  return names;
}

bool expand_named_model(Value& root) {
  Value* model = root.find("model");
  if (model == nullptr) return false;
  if (model->kind == Value::Kind::scalar) {
    Value spelled_out = Value::map();
    spelled_out.mark = model->mark;
    spelled_out.add("name", *model);
    *model = std::move(spelled_out);
  }
  const Value* name = model->find("name");
  if (name == nullptr) return false;
  const Place layers = Place{*model, "model"}.at("layers");
  if (model->find("layers") != nullptr)
    layers.refuse("`name` stands for a list of layers of its own; leave one of the two out");
  if (name->kind != Value::Kind::scalar)
    Place{*name, "model.name"}.refuse("expected the name of a network, got {}", describe(*name));
  const NamedModel& shipped = named_model(name->text, name->mark.text() + ": model.name: ");
  Value file = file_of(shipped);
  Value expanded = Value::map();
  expanded.mark = model->mark;
  const Value* input = model->find("input");
  expanded.add("input", input != nullptr ? *input : *file.find("input"));
  Value* list = file.find("layers");
  substitute(*list, parameters(file, shipped, *model));
  expanded.add("layers", std::move(*list));
  for (const char* key : kept) {
    if (const Value* value = model->find(key); value != nullptr && value != name) expanded.add(key, *value);
  }
  *model = std::move(expanded);
  // Of as many channels as the network then has.
  const Value* normalize = file.find("normalize");
  const Value& shape = *model->find("input");
  if (normalize != nullptr && !shape.items.empty() &&
      shape.items[0].text == std::to_string(normalize->items[0].items.size())) {
    Value* data = root.find("data");
    if (data != nullptr && data->kind == Value::Kind::map && data->find("normalize") == nullptr)
      data->add("normalize", *normalize);
  }
  return true;
}

}  // namespace convoy
