// Patterns of parameters' names, as train.freeze and optimizer.groups have them.
#pragma once

#include <string>
#include <vector>

#include "src/model/graph.h"

namespace convoy {

/// Whether a pattern has a name: `*` stands for any characters, `?` for one. The name of a layer or a block
/// stands for all that is in it: "layer1" is "layer1.*", too.
bool matches(const std::string& pattern, const std::string& name);

/// One per Graph::parameters. Throws Error (exit code 2) that names the nearest parameters if the pattern has
/// none; `where` is the pattern's place: "pets.yaml:12: train.freeze".
std::vector<bool> matching(const Graph& graph, const std::string& pattern, const std::string& where);

}  // namespace convoy
