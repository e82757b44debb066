// Networks by name: `model: resnet18` instead of a list of layers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/config/value.h"

namespace convoy {

/// A file of configs/models, which is part of the program.
struct NamedModel {
  std::string name;
  std::string text;  ///< YAML: about, weights, normalize, parameters, input, layers, timm
};

/// In the order of their names.
const std::vector<NamedModel>& named_models();

/// The network of that name. Throws Error (exit code 2), which begins with `where` and names the nearest.
const NamedModel& named_model(std::string_view name, std::string_view where = {});

/// What a model's file says of itself.
struct ModelFacts {
  std::string about;  ///< the network, and who published it
  std::string weights,
      checksum;  ///< an address of pretrained weights and the start of their SHA-256, or empty
  std::vector<std::pair<std::string, std::string>> parameters;  ///< with their defaults
};
ModelFacts facts_of(const NamedModel& model);

/// What timm calls the parameters of a network, which have torchvision's names here.
struct TimmNames {
  std::string network;  ///< timm's name of it
  double epsilon = 0;   ///< of its batch normalisation, where it is another one; else 0
  /// A regular expression (ECMAScript) and what takes the place of each match. One pair after the other
  /// makes a name of ours of timm's.
  std::vector<std::pair<std::string, std::string>> rules;
};
/// Nothing where the names are the same, or where timm's network is another one.
std::optional<TimmNames> timm_names_of(const NamedModel& model);

/// Where `root` has `model: NAME` or `model: {name: NAME, ...}` without layers, puts the file's input and
/// layers there. In them each $P is what `root` says of parameter P, or the file's default. The file's
/// `normalize` becomes data.normalize where there is none. Returns whether there was a name. Throws Error
/// (exit code 2) for a name or a parameter that is not known.
bool expand_named_model(Value& root);

}  // namespace convoy
