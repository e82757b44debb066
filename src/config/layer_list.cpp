// The schema of model.layers: a list whose entries are what layers say of themselves (src/layers), or a
// repeat.
#include <cctype>
#include <cstring>

#include "src/config/layer_schema.h"

namespace convoy {
namespace {

constexpr const char* name_key = "name";     ///< beside a layer's kind
constexpr const char* round_number = "{i}";  ///< in a name inside a repeat
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

/// What parameters may be called by, in files, in TensorBoard and in patterns.
Codec<std::string> layer_name() {
  Codec<std::string> codec = string();
  codec.type = "letters, digits, '_', '-', '.'";
  codec.read = [type = codec.type, read = codec.read](const Place& place) {
    constexpr std::size_t longest = 100;
    const std::string name = read(place);
    if (name.find(round_number) != std::string::npos)
      place.refuse("{} stands for the round of a repeat, but this layer is in none", round_number);
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
    });
    if (!plain || name.size() > longest || name.front() == '.' || name.back() == '.' ||
        name.find("..") != std::string::npos) {
      place.refuse("expected at most {} {}, with dots only between others; got {}", longest, type,
                   describe(place.value));
    }
    for (const char* taken : {"optimizer", "average", "progress"}) {
      if (name == taken || name.starts_with(std::string(taken) + "."))
        place.refuse("checkpoints keep other tensors under {}; choose another name", quote(taken));
    }
    return name;
  };
  return codec;
}

/// An entry without the name that stands beside its kind, and that name.
std::pair<Value, std::string> split_name(const Place& entry) {
  const Value& value = entry.value;
  if (value.kind != Value::Kind::map || value.items.size() < 2) return {value, ""};
  Value rest = Value::map();
  rest.mark = value.mark;
  std::string name;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (value.keys[i] != name_key) {
      const std::string near = did_you_mean(value.keys[i], {name_key});
      if (!near.empty()) entry.at(value.keys[i]).refuse("unknown key{}", near);
      rest.add(value.keys[i], value.items[i]);
      continue;
    }
    if (!name.empty()) entry.at(name_key).refuse("given twice");
    name = layer_name().read({value.items[i], entry.path + "." + name_key});
  }
  if (rest.items.size() == 1 && rest.items[0].kind == Value::Kind::null && !name.empty())
    rest.items[0] = Value::map();  // `{relu, name: act}`
  return {std::move(rest), std::move(name)};
}

/// Writes `number` for {i} in the names of layers, inside blocks too, but not inside a repeat, whose rounds
/// they count. Returns whether there was any.
bool number_names(Value& value, const std::string& number) {
  bool found = false;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    Value& item = value.items[i];
    const std::string key = value.kind == Value::Kind::map ? value.keys[i] : "";
    if (key == repeat_kind().name) continue;
    found |= number_names(item, number);
    if (key != name_key || item.kind != Value::Kind::scalar) continue;
    for (std::size_t at; (at = item.text.find(round_number)) != std::string::npos; found = true)
      item.text.replace(at, std::strlen(round_number), number);
  }
  return found;
}

/// Appends the layers that a repeat stands for.
void read_repeat(const Place& entry, std::vector<LayerConfig>& layers) {
  const bool word = entry.value.kind == Value::Kind::scalar;
  Value arguments = word ? Value::map() : entry.value.items[0];
  if (word) arguments.mark = entry.value.mark;
  const Value as_written = arguments;
  const Place place{arguments, entry.path + "." + repeat_kind().name};
  const bool numbered = number_names(arguments, "0");  // of any round, to look at
  Repeat repeat;
  read_table(repeat_kind().table, repeat, place);
  if (count(layers) + count(repeat.layers) * static_cast<std::size_t>(repeat.times) > most_layers) {
    entry.refuse("more than {} layers", most_layers);
  }
  for (int round = 0; round < repeat.times; ++round) {
    if (numbered) {
      arguments = as_written;
      number_names(arguments, std::to_string(repeat.from + round));
      repeat.layers = layer_list(false).read(place.at("layers"));
    }
    layers.insert(layers.end(), repeat.layers.begin(), repeat.layers.end());
  }
}

/// Appends the layer, or the layers, that an entry of a list stands for.
void read_entry(const Place& entry, std::vector<LayerConfig>& layers) {
  const auto [value, name] = split_name(entry);
  const Place unnamed{value, entry.path};
  const std::string& repeat = repeat_kind().name;
  if (value.text == repeat || (value.items.size() == 1 && value.find(repeat) != nullptr)) {
    if (!name.empty()) {
      entry.at(name_key).refuse(
          "a repeat has no name of its own; name the layers in it, with {} for the round", round_number);
    }
    return read_repeat(unnamed, layers);
  }
  LayerConfig layer;
  read_kind(layer_kinds(), layer, unnamed, true, {repeat});
  layer.name = name;
  layers.push_back(std::move(layer));
}

/// The entry of a layer, as short as it may be.
Value write_layer(const LayerConfig& layer) {
  Value entry = write_kind(kind_of(layer), layer);
  if (layer.name.empty()) return entry;
  if (entry.kind == Value::Kind::scalar) {
    Value spelled_out = Value::map();
    spelled_out.add(entry.text, Value::map());
    entry = std::move(spelled_out);
  }
  entry.add(name_key, layer_name().write(layer.name).value());
  return entry;
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
                      field("from", &Repeat::from, number<int>(between(0, 1'000'000)),
                            "the number of the first round, which {i} in the names of its layers stands for"),
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
            for (const LayerConfig& layer : layers) list.items.push_back(write_layer(layer));
            return list;
          }};
}

Codec<std::vector<std::vector<LayerConfig>>> layer_lists(std::size_t fewest, std::size_t most) {
  using Lists = std::vector<std::vector<LayerConfig>>;
  const Codec<std::vector<LayerConfig>> one = layer_list(true);
  return {"list of lists of layers",
          [=](const Place& place) {
            if (place.value.kind != Value::Kind::list)
              place.refuse("expected a list of lists of layers, got {}", describe(place.value));
            const std::size_t given = place.value.items.size();
            if (given < fewest || given > most)
              place.refuse("expected {} to {} lists of layers, got {}", fewest, most, given);
            Lists lists;
            Problems problems;
            for (std::size_t i = 0; i < given; ++i)
              problems.attempt([&] { lists.push_back(one.read(place.item(i))); });
            problems.raise();
            return lists;
          },
          [=](const Lists& lists) -> std::optional<Value> {
            if (lists.empty()) return std::nullopt;
            Value list = Value::list({});
            for (const std::vector<LayerConfig>& layers : lists)
              list.items.push_back(one.write(layers).value_or(Value::list({})));
            return list;
          }};
}

}  // namespace convoy
