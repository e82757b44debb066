// Reads what make_golden.py wrote.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/kernels/op_case.h"

namespace convoy::testing {

/// A safetensors file of cases; tensors are named "<case>/<tensor>". Asking for what is not there throws
/// Error.
struct GoldenFile {
  std::map<std::string, nlohmann::json> cases;  ///< by name: "op" and the operation's attributes
  std::map<std::string, Values> tensors;
  std::map<std::string, std::vector<std::int64_t>> shapes;

  bool has(const std::string& name) const { return tensors.contains(name); }
  const nlohmann::json& attributes(const std::string& name) const;
  const Values& at(const std::string& name) const;
  const std::vector<std::int64_t>& shape(const std::string& name) const;
};

/// Reads tests/golden/`name`; throws Error when it is missing or not such a file.
GoldenFile read_golden(const std::string& name);

}  // namespace convoy::testing
