#include "src/checkpoint/timm_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <regex>
#include <set>
#include <utility>

#include "core/error.h"
#include "src/config/named_model.h"

namespace convoy {
namespace {

bool has_all(const TensorFile& file, const std::vector<NamedTensor>& wanted, const std::string& prefix) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const NamedTensor& named) {
    return named.optional || file.tensors.contains(prefix + named.name);
  });
}

/// Nothing where a tensor's name leads to none of `wanted`: then the file is of another network.
std::optional<TensorFile> renamed(const TensorFile& file, const std::string& prefix,
                                  const std::set<std::string>& wanted, const TimmNames& names) {
  std::vector<std::pair<std::regex, std::string>> rules;
  for (const auto& [pattern, replacement] : names.rules) rules.emplace_back(std::regex(pattern), replacement);
  const auto ours = [&](const std::string& tensor) {
    std::string text = tensor.substr(prefix.size());
    for (const auto& [pattern, replacement] : rules) text = std::regex_replace(text, pattern, replacement);
    return text;
  };
  TensorFile out;
  out.metadata = file.metadata;
  out.is_verified = file.is_verified;
  for (const auto& [tensor, contents] : file.tensors) {
    const std::string name = ours(tensor);
    if (!wanted.contains(name)) return std::nullopt;
    out.tensors.emplace(name, contents);
  }
  for (const auto& [tensor, type] : file.left_out) out.left_out.emplace(ours(tensor), type);
  return out;
}

/// Whether both are as many rows of as many values: a linear layer's weights may be those of a convolution
/// that sees the whole image, and a factor per channel may stand without the axes of pixels.
bool is_same_matrix(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  const auto count = [](const std::vector<std::int64_t>& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  };
  return !a.empty() && !b.empty() && a[0] == b[0] && count(a) == count(b);
}

/// A last layer of another number of outputs keeps to its own: (1000,4096,1,1) is (1000,4096).
void drop_pixels(std::vector<std::int64_t>& shape, std::size_t axes) {
  while (shape.size() > axes && shape.back() == 1) shape.pop_back();
}

void require_epsilon(const Graph& graph, const TimmNames& names, const std::string& name) {
  if (names.epsilon == 0) return;
  for (const Node& node : graph.nodes) {
    const auto* norm = std::get_if<op::BatchNorm>(&node.op);
    if (norm != nullptr && std::abs(norm->epsilon - names.epsilon) > 1e-3 * names.epsilon)
      fail(
          "{}: holds weights of timm's {}, whose batch normalisation has an epsilon of {}, here {:.6g}; set "
          "model.epsilon: {}",
          name, names.network, names.epsilon, norm->epsilon, names.epsilon);
  }
}

}  // namespace

std::optional<TimmFile> from_timm(const TensorFile& file, const std::string& prefix,
                                  const std::vector<NamedTensor>& wanted, const Graph& graph,
                                  const std::string& name) {
  if (has_all(file, wanted, prefix)) return std::nullopt;
  std::set<std::string> known;
  for (const NamedTensor& named : wanted) known.insert(named.name);
  for (const NamedModel& model : named_models()) {
    const std::optional<TimmNames> names = timm_names_of(model);
    if (!names) continue;
    std::optional<TensorFile> tensors = renamed(file, prefix, known, *names);
    if (!tensors || !has_all(*tensors, wanted, "")) continue;
    TimmFile ours{std::move(*tensors), names->network};
    require_epsilon(graph, *names, name);
    for (const NamedTensor& named : wanted) {
      const auto found = ours.file.tensors.find(named.name);
      if (found == ours.file.tensors.end()) continue;
      std::vector<std::int64_t>& shape = found->second.shape;
      if (is_same_matrix(shape, named.file_shape)) shape = named.file_shape;
      drop_pixels(shape, named.file_shape.size());
    }
    return ours;
  }
  return std::nullopt;
}

}  // namespace convoy
