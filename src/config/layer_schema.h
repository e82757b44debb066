// What a layer's kinds() are made of: the tables of schema.h for entries of a list of layers.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "src/config/schema.h"
#include "src/layers/all.h"

namespace convoy {

constexpr double most_channels = 1 << 20;
constexpr const char* classes_word = "classes";  ///< as many outputs as the data set has classes

/// One number for all axes or one per axis.
inline Codec<AxisValues> axis_values(Interval range) {
  return one_or_list(number<int>(range), 1, 3);
}

/// Of a layer's outputs: a number or `classes`, which is 0 here until fill_in_classes() knows it.
inline Codec<int> outputs() {
  const Codec<int> count = number<int>(between(1, most_channels));
  return {count.type + " or `classes`",
          [=](const Place& place) { return place.value.text == classes_word ? 0 : count.read(place); },
          [=](const int& out) { return out == 0 ? Value::scalar(classes_word) : count.write(out); }};
}

/// The key `init` of weights.
template <class L>
Field<L> init_field() {
  return field("init", &L::init,
               choice<Init>({{"he", Init::he}, {"glorot", Init::glorot}, {"dirac", Init::dirac}}),
               "how the weights start");
}

/// A field of the layer's own struct, as a field of LayerConfig.
template <class L>
Field<LayerConfig> of_layer(Field<L> inner) {
  Field<LayerConfig> field;
  field.key = inner.key;
  field.type = inner.type;
  field.help = inner.help;
  field.required = inner.required;
  field.read = [read = inner.read](LayerConfig& target, const Place& place) {
    read(std::get<L>(target.layer), place);
  };
  field.write = [write = inner.write](const LayerConfig& source) { return write(std::get<L>(source.layer)); };
  return field;
}

/// A name in a list of layers. An entry of that name starts as `prototype` and has these keys; `name: x` sets
/// `short_key`. `example` is an entry where the name alone is none. A struct of several names tells by
/// `matches` which of them a value has.
template <class L>
Kind<LayerConfig> layer_kind(
    std::string name, std::string help, L prototype = {}, std::string short_key = "",
    std::vector<Field<L>> fields = {}, std::string example = "",
    std::function<bool(const L&)> matches = [](const L&) { return true; }) {
  Kind<LayerConfig> kind;
  kind.name = std::move(name);
  kind.help = std::move(help);
  kind.table.short_key = std::move(short_key);
  for (Field<L>& inner : fields) kind.table.fields.push_back(of_layer(std::move(inner)));
  kind.prototype.layer = std::move(prototype);
  kind.example = std::move(example);
  kind.matches = [matches = std::move(matches)](const LayerConfig& layer) {
    const L* own = std::get_if<L>(&layer.layer);
    return own != nullptr && matches(*own);
  };
  return kind;
}

}  // namespace convoy
