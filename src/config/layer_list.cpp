// The schema of model.layers: a list whose entries are what layers say of themselves (src/layers), or a
// repeat.
#include "src/config/layer_schema.h"

namespace convoy {
namespace {

constexpr int most_layers = 10'000;  ///< of a list, inner ones included: what a few repeats of repeats exceed

std::vector<Kind<LayerConfig>> all_kinds() {
  std::vector<Kind<LayerConfig>> all;
  for_each_type(LayerTypes{}, [&]<class L>() {
    for (Kind<LayerConfig>& kind : L::kinds()) all.push_back(std::move(kind));
  });
  return all;
}

const Kind<LayerConfig>& kind_of(const LayerConfig& layer) {
  for (const Kind<LayerConfig>& kind : layer_kinds())
    if (kind.matches(layer)) return kind;
  fail("internal error: a layer that is none of its kinds");
}

std::size_t count(const std::vector<LayerConfig>& layers) {
  std::size_t sum = layers.size();
  for (const LayerConfig& layer : layers) {
    std::visit(
        [&](const auto& config) {
          if constexpr (requires { config.branches(); })
            for (const std::vector<LayerConfig>* branch : config.branches()) sum += count(*branch);
        },
        layer.layer);
  }
  return sum;
}

/// Appends the layer, or the layers, that an entry of a list stands for.
void read_entry(const Place& entry, std::vector<LayerConfig>& layers) {
  const std::string& name = repeat_kind().name;
  if (entry.value.text != name && (entry.value.items.size() != 1 || entry.value.find(name) == nullptr)) {
    LayerConfig layer;
    read_kind(layer_kinds(), layer, entry, true, {name});
    layers.push_back(std::move(layer));
    return;
  }
  const bool word = entry.value.kind == Value::Kind::scalar;
  Value arguments = word ? Value::map() : entry.value.items[0];
  if (word) arguments.mark = entry.value.mark;
  Repeat repeat;
  read_table(repeat_kind().table, repeat, Place{arguments, entry.path + "." + name});
  if (count(layers) + count(repeat.layers) * static_cast<std::size_t>(repeat.times) > most_layers) {
    entry.refuse("more than {} layers", most_layers);
  }
  for (int time = 0; time < repeat.times; ++time) {
    layers.insert(layers.end(), repeat.layers.begin(), repeat.layers.end());
  }
}

}  // namespace

const std::vector<Kind<LayerConfig>>& layer_kinds() {
  static const std::vector<Kind<LayerConfig>> kinds = all_kinds();
  return kinds;
}

const Kind<Repeat>& repeat_kind() {
  static const Kind<Repeat> kind = {
      .name = "repeat",
      .help = "repeat a list of layers; each repetition has its own parameters",
      .table =
          {.fields = {field("times", &Repeat::times, number<int>(between(1, most_layers)), "how many times")
                          .require(),
                      field("layers", &Repeat::layers, layer_list(false), "the layers to repeat").require()},
           .check = {},
           .short_key = {}},
      .prototype = {},
      .matches = {},
      .example = {}};
  return kind;
}

Codec<std::vector<LayerConfig>> layer_list(bool may_be_empty) {
  using Layers = std::vector<LayerConfig>;
  return {"list of layers",
          [=](const Place& place) {
            if (place.value.kind != Value::Kind::list) {
              place.refuse("expected a list of layers, got {}", describe(place.value));
            }
            Layers layers;
            const std::size_t entries = place.value.items.size();
            if (entries == 0 && !may_be_empty) place.refuse("expected at least one layer");
            Problems problems;
            for (std::size_t i = 0; i < entries; ++i) {
              problems.attempt([&] { read_entry(place.item(i), layers); });
            }
            problems.raise();
            return layers;
          },
          [](const Layers& layers) -> std::optional<Value> {
            if (layers.empty()) return std::nullopt;
            Value list = Value::list({});
            for (const LayerConfig& layer : layers) list.items.push_back(write_kind(kind_of(layer), layer));
            return list;
          }};
}

}  // namespace convoy
