#include "src/checkpoint/weights_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "comm/agree.h"
#include "core/regular_file.h"
#include "src/checkpoint/checkpoint.h"
#include "src/checkpoint/checkpoint_files.h"
#include "src/checkpoint/timm_file.h"
#include "src/config/nearest.h"
#include "src/io/json_reader.h"
#include "src/io/torch_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

// ---- reading ----

/// A file as it is, under the name that messages call it.
struct WeightsPart {
  std::string name;
  SharedBytes bytes;
};
/// What an index says: of each tensor, the file that holds it.
using Index = std::map<std::string, std::string>;

SharedBytes bytes_in(const fs::path& path) {
  if (!is_shell_pipe(path)) {
    const RegularFile file(path);
    std::array<std::byte, 4> first{};
    if (file.size() >= first.size()) file.read_at(0, first);
    if (is_torch_file(first)) return read_shared(file);
  }
  return safetensors_in(path);
}

Index read_index(const fs::path& path) {
  constexpr std::uint64_t longest = 64 << 20;
  const std::string name = path.string();
  const nlohmann::json json = read_json(read_named_file(path, longest), name, 3);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object())
    fail("{}: no index of safetensors files: it has no weight_map", name);
  Index index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) fail("{}: its weight_map names no file for {}", name, tensor);
    index[tensor] = file.get<std::string>();
    if (index[tensor].find('/') != std::string::npos || index[tensor].starts_with('.'))
      fail("{}: its weight_map has {} in {}, which is no file beside it", name, tensor, index[tensor]);
  }
  return index;
}

TensorFile merged(const std::vector<WeightsPart>& parts) {
  TensorFile all;
  for (const WeightsPart& part : parts) {
    TensorFile file = is_torch_file(part.bytes) ? from_torch_file(part.bytes, part.name)
                                                : from_safetensors(part.bytes, part.name);
    for (auto& [tensor, contents] : file.tensors)
      if (!all.tensors.emplace(tensor, std::move(contents)).second)
        fail("{}: has {}, which another part has, too", part.name, tensor);
    all.left_out.merge(file.left_out);
    all.metadata.merge(file.metadata);
  }
  return all;
}

// ---- matching ----

constexpr std::array prefixes{"module.", "_orig_mod.", "model.", "backbone."};
/// Classifiers beside the last one, which serve training alone (Szegedy et al., 2015), as torchvision calls
/// them.
constexpr std::array auxiliary_heads{"aux1.", "aux2.", "AuxLogits."};
constexpr const char* batch_counter = "num_batches_tracked";

bool is_ignored(const std::string& tensor) {
  return tensor.ends_with(batch_counter) ||
         std::any_of(auxiliary_heads.begin(), auxiliary_heads.end(),
                     [&](const char* head) { return tensor.starts_with(head); });
}

/// The tensors that are no other program's nor a checkpoint's own, by their names without a prefix.
class NamedWeights {
 public:
  /// `wanted`: the network's names, which keep a prefix that is theirs.
  NamedWeights(const TensorFile& file, const std::set<std::string>& wanted) : file_(file) {
    while (const char* next = next_prefix(wanted)) prefix_ += next;
  }
  const std::string& prefix() const { return prefix_; }

  const FileTensor* find(const std::string& name) const {
    const auto it = file_.tensors.find(prefix_ + name);
    return it == file_.tensors.end() ? nullptr : &it->second;
  }
  /// Calls function(name) for each, those of types that are not known here included.
  template <class Function>
  void for_each(Function function) const {
    for (const auto& [name, tensor] : file_.tensors)
      if (!belongs_to_training(name)) function(name.substr(prefix_.size()));
    for (const auto& [name, type] : file_.left_out) function(name.substr(prefix_.size()));
  }
  /// What stands before all of `missing` in the file, none of the known prefixes; empty if nothing does.
  std::string longer_prefix(const std::vector<std::string>& missing) const {
    for (const auto& [tensor, contents] : file_.tensors) {
      if (!tensor.ends_with("." + missing.front())) continue;
      std::string prefix = tensor.substr(0, tensor.size() - missing.front().size());
      if (std::all_of(missing.begin(), missing.end(),
                      [&](const std::string& name) { return file_.tensors.contains(prefix + name); }))
        return prefix;
    }
    return "";
  }
  /// The type of a tensor that is not known here.
  const std::string* foreign_type(const std::string& name) const {
    const auto it = file_.left_out.find(prefix_ + name);
    return it == file_.left_out.end() ? nullptr : &it->second;
  }

 private:
  const char* next_prefix(const std::set<std::string>& wanted) const {
    for (const char* prefix : prefixes) {
      bool any = false, all = true;
      for_each([&](const std::string& name) { any = true, all = all && name.starts_with(prefix); });
      const auto own = wanted.lower_bound(prefix);
      if (any && all && (own == wanted.end() || !own->starts_with(prefix))) return prefix;
    }
    return nullptr;
  }
  const TensorFile& file_;
  std::string prefix_;
};

/// Up to a few of them, and how many more there are.
std::string list_of(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 8;
  const std::size_t count = std::min(names.size(), shown);
  std::string out =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(count), ", "));
  if (names.size() > count) out += fmt::format(" and {} more", names.size() - count);
  return out;
}

/// What does not fit.
struct Mismatch {
  std::vector<std::string> missing, left_over, misshapen;
  bool any() const { return !missing.empty() || !left_over.empty() || !misshapen.empty(); }
};

[[noreturn]] void refuse(const Mismatch& mismatch, const NamedWeights& weights, std::size_t wanted,
                         const std::string& name) {
  if (!mismatch.missing.empty()) {
    const std::string& first = mismatch.missing.front();
    if (const std::string* type = weights.foreign_type(first))
      fail("{}: tensor {} holds {}, no floating-point numbers; export the weights before they are quantised",
           name, first, *type);
    const std::string other = weights.longer_prefix(mismatch.missing);
    if (!other.empty())
      fail(
          "{}: its tensors are this network's, but each name begins with {}: save them without, in Python "
          "as {{name.removeprefix(\"{}\"): tensor for name, tensor in weights.items()}}",
          name, other, other);
  }
  std::vector<std::string> lines;
  if (!mismatch.missing.empty()) {
    std::vector<std::string> missing;
    for (const std::string& tensor : mismatch.missing) {
      const auto nearest =
          missing.size() < 8 ? nearest_of(tensor, mismatch.left_over, 1) : std::vector<std::string>{};
      missing.push_back(nearest.empty() ? tensor : fmt::format("{} (nearest: {})", tensor, nearest[0]));
    }
    lines.push_back("missing: " + list_of(missing));
  }
  if (!mismatch.left_over.empty()) lines.push_back("left over: " + list_of(mismatch.left_over));
  if (!mismatch.misshapen.empty()) lines.push_back("of another shape: " + list_of(mismatch.misshapen));
  std::string text = format_printable("{}: does not match this network: {} of {} names found", name,
                                      wanted - mismatch.missing.size(), wanted);
  for (const std::string& line : lines) text += format_printable("\n  {}", line);
  throw Error(text);
}

/// The name of the last layer that has parameters.
const Node& head_of(const Graph& graph) {
  const auto last = std::find_if(graph.nodes.rbegin(), graph.nodes.rend(),
                                 [](const Node& node) { return !node.parameters.empty(); });
  return *last;
}

/// Why the last layer cannot take the file's weights: it has another number of outputs, and all else fits.
std::string other_head(const Graph& graph, const NamedWeights& weights) {
  const Node& head = head_of(graph);
  for (const int index : head.parameters) {
    const Parameter& parameter = graph.parameters[static_cast<std::size_t>(index)];
    const FileTensor* tensor = weights.find(parameter.name);
    if (!parameter.is_weight || tensor == nullptr) continue;
    const std::vector<std::int64_t>&there = tensor->shape, &here = parameter.file_shape;
    if (there.size() == here.size() && there[0] != here[0] &&
        std::equal(there.begin() + 1, there.end(), here.begin() + 1))
      return fmt::format("{} outputs in the file, {} here", there[0], here[0]);
  }
  return "";
}

}  // namespace

void require_weights_file(const fs::path& path, const std::string& given_as) {
  if (fs::is_directory(path))
    fail("{} {}: a folder; `convoy export` makes a file of a run's weights", given_as, path.string());
  if (!fs::exists(path))
    fail("{} {}: there is no such file (from {})", given_as, path.string(), fs::current_path().string());
}

TensorFile load_weights(const fs::path& path, const RankEnvironment& ranks) {
  std::vector<WeightsPart> parts;
  Index index;
  agree(ranks, [&] {
    if (!ranks.is_root()) return;
    if (!path.string().ends_with(".index.json")) return parts.push_back({path.string(), bytes_in(path)});
    index = read_index(path);
    std::set<std::string> files;
    for (const auto& [tensor, file] : index) files.insert(file);
    for (const std::string& file : files) {
      const fs::path part = path.parent_path() / file;
      parts.push_back({part.string(), safetensors_in(part)});
    }
  });
  std::uint64_t count = parts.size();
  ranks.broadcast(&count, sizeof count);
  parts.resize(count);
  for (WeightsPart& part : parts) {
    part.name = ranks.text_of(0, part.name);
    part.bytes = broadcast_bytes(part.bytes, ranks);
  }
  TensorFile file;
  agree(ranks, [&] {
    file = merged(parts);
    for (const auto& [tensor, holder] : index)
      if (!file.tensors.contains(tensor) && !file.left_out.contains(tensor))
        fail("{}: says that {} is in {}, where it is not", path.string(), tensor, holder);
  });
  return file;
}

std::string RestoredWeights::text() const {
  std::string out = fmt::format("{} tensors", loaded);
  if (!timm.empty()) out += fmt::format(", named as those of timm's {}", timm);
  if (!prefix.empty()) out += fmt::format("; their names are without {} here", prefix);
  if (!head.empty()) out += fmt::format("; layer {} begins anew: {}", anew.front(), head);
  std::vector<std::string> others(anew.begin() + (head.empty() ? 0 : 1), anew.end());
  if (!others.empty()) out += fmt::format("; as asked for, anew: {}", list_of(others));
  std::vector<std::string> names;
  std::size_t counters = 0;
  for (const std::string& name : ignored) {
    if (name.ends_with(batch_counter))
      ++counters;
    else
      names.push_back(name);
  }
  if (counters > 0) names.push_back(fmt::format("{} {}", counters, batch_counter));
  if (!names.empty()) out += fmt::format("; ignored: {}", list_of(names));
  return out;
}

namespace {

/// Of a network's tensors, averages too: how the names in files begin.
NamedWeights weights_for(const std::vector<NamedTensor>& tensors, const TensorFile& file) {
  std::set<std::string> wanted;
  for (const NamedTensor& named : tensors)
    if (!named.optional) wanted.insert(named.name);
  return NamedWeights(file, wanted);
}

/// Takes from `tensors` what begins anew; the file has all others. Throws Error.
RestoredWeights match(std::vector<NamedTensor>& tensors, const Graph& graph, const NamedWeights& weights,
                      const TensorFile& file, const std::string& name,
                      const std::vector<std::string>& except) {
  std::set<std::string> known;
  for (const NamedTensor& named : tensors) known.insert(named.name);
  RestoredWeights result;
  result.prefix = weights.prefix();
  const auto leave_out = [&](const std::string& layer) {
    result.anew.push_back(layer);
    return std::erase_if(tensors, [&](const NamedTensor& named) { return is_of_layer(named.name, layer); });
  };
  const std::string& head = head_of(graph).name;
  if (std::find(except.begin(), except.end(), head) == except.end()) result.head = other_head(graph, weights);
  if (!result.head.empty()) leave_out(head);
  for (const std::string& layer : except)
    if (leave_out(layer) == 0) fail("--init-except {}: the model has no weights of that name", layer);

  require_known_order(file, graph, name, [&](const std::string& parameter) {
    return std::any_of(tensors.begin(), tensors.end(), [&](auto& named) { return named.name == parameter; });
  });
  Mismatch mismatch;
  std::size_t required = 0;
  for (const NamedTensor& named : tensors) {
    const FileTensor* tensor = weights.find(named.name);
    if (!named.optional) ++required;
    if (tensor == nullptr && !named.optional) mismatch.missing.push_back(named.name);
    if (tensor != nullptr && tensor->shape != named.file_shape)
      mismatch.misshapen.push_back(fmt::format(
          "{} [{}], here [{}]", named.name, fmt::join(tensor->shape, ","), fmt::join(named.file_shape, ",")));
  }
  weights.for_each([&](const std::string& tensor) {
    const bool anew = std::any_of(result.anew.begin(), result.anew.end(),
                                  [&](auto& layer) { return is_of_layer(tensor, layer); });
    if (known.contains(tensor) || anew) return;
    (is_ignored(tensor) || weights.foreign_type(tensor) != nullptr ? result.ignored : mismatch.left_over)
        .push_back(tensor);
  });
  if (mismatch.any()) refuse(mismatch, weights, required, name);
  result.loaded = required;
  return result;
}

}  // namespace

RestoredWeights restore_weights(Session& session, const TensorFile& given, const std::string& name,
                                const std::vector<std::string>& except) {
  std::vector<NamedTensor> tensors = session.named_tensors(false);
  const std::optional<TimmFile> timm =
      from_timm(given, weights_for(tensors, given).prefix(), tensors, session.graph(), name);
  const TensorFile& file = timm ? timm->file : given;
  const NamedWeights weights = weights_for(tensors, file);
  RestoredWeights result = match(tensors, session.graph(), weights, file, name, except);
  if (timm) result.timm = timm->network;
  for (const NamedTensor& named : tensors) {
    const FileTensor* tensor = weights.find(named.name);
    if (tensor == nullptr) tensor = weights.find(named.stand_in);
    if (tensor != nullptr) restore_tensor(session, named, *tensor, name);
  }
  return result;
}

RestoredWeights match_weights(const Graph& graph, const TensorFile& given, const std::string& name) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : graph.parameters)
    tensors.push_back({parameter.name, {}, &parameter, parameter.file_shape});
  for (const Statistic& statistic : graph.statistics)
    tensors.push_back({statistic.name, {}, nullptr, {statistic.count}});
  const std::optional<TimmFile> timm =
      from_timm(given, weights_for(tensors, given).prefix(), tensors, graph, name);
  const TensorFile& file = timm ? timm->file : given;
  RestoredWeights result = match(tensors, graph, weights_for(tensors, file), file, name, {});
  if (timm) result.timm = timm->network;
  return result;
}

}  // namespace convoy
