// Weights of timm's networks, whose parameters often have other names and shapes than torchvision's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/io/safetensors.h"
#include "src/session/session.h"

namespace convoy {

/// A file with its tensors under this program's names, and in its shapes.
struct TimmFile {
  TensorFile file;
  std::string network;  ///< timm's name of it
};

/// Where `file` lacks some of `wanted`, the tensors that a network has, and the names of one of timm's
/// networks (configs/models) lead to all of them: the file under our names. `prefix` stands before all names
/// in the file. Throws Error where timm's network has another epsilon than `graph`.
std::optional<TimmFile> from_timm(const TensorFile& file, const std::string& prefix,
                                  const std::vector<NamedTensor>& wanted, const Graph& graph,
                                  const std::string& name);

}  // namespace convoy
