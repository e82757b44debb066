#include "src/checkpoint/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "kernels/loss_scale.h"
#include "src/checkpoint/data_record.h"
#include "src/checkpoint/file_values.h"

namespace convoy {
namespace {

constexpr const char* loss_scale_name = "optimizer.loss_scale";
constexpr const char* average_prefix = "average.";

template <class T, class Value>
std::vector<std::byte> to_bytes(const std::vector<Value>& values) {
  const std::vector<T> typed(values.begin(), values.end());
  std::vector<std::byte> bytes(typed.size() * sizeof(T));
  std::memcpy(bytes.data(), typed.data(), bytes.size());
  return bytes;
}

/// Calls function(T{}) for a tensor of f32 or f64, as everything that outlives a step is.
template <class Function>
void with_real(DType type, Function function) {
  check(type == DType::f32 || type == DType::f64, "state is f32 or f64");
  type == DType::f64 ? function(double{}) : function(float{});
}

}  // namespace

Snapshot::Snapshot(Session& session) : session_(session), tensors_(session.named_tensors(true)) {
  for (const NamedTensor& named : tensors_) {
    const auto arena = static_cast<std::size_t>(named.tensor.arena);
    const std::int64_t bytes = session.plans().arenas[arena];
    if (copies_[arena] == nullptr)
      copies_[arena] = session.engine().staging_memory(static_cast<std::size_t>(bytes));
  }
}

void Snapshot::take(const Progress& progress) {
  for (std::size_t arena = 0; arena < arena_count; ++arena) {
    if (copies_[arena] == nullptr) continue;
    session_.engine().read({static_cast<Arena>(arena), DType::u8, 0, session_.plans().arenas[arena]},
                           copies_[arena]);
  }
  progress_ = progress;
}

const std::byte* Snapshot::values_of(const NamedTensor& named) const {
  return reinterpret_cast<const std::byte*>(copies_[static_cast<std::size_t>(named.tensor.arena)]) +
         named.tensor.offset;
}

void Snapshot::require_finite_weights() const {
  for (const NamedTensor& named : tensors_) {
    if (named.name.starts_with(optimizer_prefix)) continue;
    with_real(named.tensor.dtype, [&](auto t) {
      using T = decltype(t);
      const T* values = reinterpret_cast<const T*>(values_of(named));
      if (!std::all_of(values, values + named.tensor.count, [](T value) { return std::isfinite(value); }))
        fail("{} has values that are not finite: nothing to go on from", named.name);
    });
  }
}

void Snapshot::write(const std::filesystem::path& path, const std::string& config) const {
  require_finite_weights();
  std::vector<TensorEntry> entries;
  for (const NamedTensor& named : tensors_)
    entries.push_back({named.name, named.tensor.dtype, named.file_shape});
  if (progress_.images_done > 0) {
    const std::int64_t rows = progress_.metrics_ranks;
    const auto values = static_cast<std::int64_t>(progress_.metrics.size());
    entries.push_back({progress_metrics_name, DType::f64, {rows, values / rows}});
  }
  std::vector<std::byte> reordered;
  auto text = to_metadata(progress_, config);
  record_class_names(session_.class_names(), text);
  if (const auto identity = session_.data_identity()) record_data(*identity, text);
  write_safetensors(path, entries, text, [&](std::size_t i) {
    if (i == tensors_.size()) return std::as_bytes(std::span(progress_.metrics));
    const NamedTensor& named = tensors_[i];
    const auto bytes = static_cast<std::size_t>(named.tensor.bytes());
    if (named.parameter == nullptr) return std::span(values_of(named), bytes);
    with_real(named.tensor.dtype, [&](auto t) {
      using T = decltype(t);
      reordered = to_bytes<T>(to_file_order(*named.parameter, values_at<T>(values_of(named), bytes)));
    });
    return std::span<const std::byte>(reordered);
  });
}

void require_known_order(const TensorFile& file, const Graph& graph, const std::string& name,
                         const std::function<bool(const std::string& parameter)>& wanted) {
  if (!leaves_order_open(file)) return;
  for (const Node& node : graph.nodes) {
    const auto* linear = std::get_if<op::Linear>(&node.op);
    if (linear == nullptr) continue;
    const Parameter& weight = graph.parameters[static_cast<std::size_t>(linear->weight)];
    const Node& before = graph.nodes[static_cast<std::size_t>(node.inputs[0])];
    if (std::holds_alternative<op::Flatten>(before.op) || is_in_file_order(weight) || !wanted(weight.name))
      continue;
    fail(
        "{}: its format, {}, does not say in which order the columns of {} stand, since an activation or "
        "dropout is between flatten and that layer: use the version of Convoy that wrote the file, or train "
        "again",
        name, file.metadata.at("format"), weight.name);
  }
}

namespace {

auto find_tensor(const TensorFile& file, const NamedTensor& named) {
  const auto it = file.tensors.find(named.name);
  return it == file.tensors.end() && named.optional ? file.tensors.find(named.stand_in) : it;
}

/// The norm is of gradients that may have overflowed; the rest are numbers that a run can come to.
void require_loss_scale(const std::vector<double>& state, const std::string& name) {
  const auto within = [&](int field, double low, double high) {
    const double value = state[static_cast<std::size_t>(field)];
    return value >= low && value <= high;
  };
  constexpr double most = static_cast<double>(most_steps);
  if (!within(loss_scale::scale, loss_scale::smallest, loss_scale::largest) ||
      !within(loss_scale::inverse, 0, 1) || !within(loss_scale::skip, 0, 1) ||
      !within(loss_scale::good_steps, 0, most) || !within(loss_scale::skipped_steps, 0, most))
    fail("{}: tensor {} holds no loss scale of a run: [{}]", name, loss_scale_name, fmt::join(state, ", "));
}

/// "a, b, c, ..."
std::string first_of(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 4;
  const std::vector<std::string> first(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), shown)));
  return fmt::format("{}{}", fmt::join(first, ", "), names.size() > shown ? ", ..." : "");
}

/// Refuses a file that lacks some of the tensors.
void require_names(const std::vector<NamedTensor>& tensors, const TensorFile& file, const std::string& name) {
  std::vector<std::string> missing, wanted;
  for (const NamedTensor& named : tensors) {
    if (named.optional) continue;
    wanted.push_back(named.name);
    if (!file.tensors.contains(named.name)) missing.push_back(named.name);
  }
  if (missing.empty()) return;
  const auto of_optimizer = [](const std::string& tensor) { return tensor.starts_with(optimizer_prefix); };
  const bool other_optimizer = std::all_of(missing.begin(), missing.end(), of_optimizer);
  if (other_optimizer)
    std::erase_if(wanted, [&](const std::string& tensor) { return !of_optimizer(tensor); });
  std::vector<std::string> in_file;
  for (const auto& [tensor, contents] : file.tensors)
    if (of_optimizer(tensor) == other_optimizer) in_file.push_back(tensor);
  fail("{}: does not match this {}: {} of {} names found (missing: {}; the file has {})", name,
       other_optimizer ? "optimizer" : "network", wanted.size() - missing.size(), wanted.size(),
       first_of(missing), in_file.empty() ? "none such" : first_of(in_file));
}

void restore_tensors(Session& session, const std::vector<NamedTensor>& tensors, const TensorFile& file,
                     const std::string& name) {
  require_known_order(file, session.graph(), name, [&](const std::string& parameter) {
    return std::any_of(tensors.begin(), tensors.end(), [&](auto& named) { return named.name == parameter; });
  });
  require_names(tensors, file, name);
  for (const NamedTensor& named : tensors) {
    const auto it = find_tensor(file, named);
    if (it == file.tensors.end()) continue;
    if (it->second.shape != named.file_shape) {
      fail("{}: tensor {} has shape [{}], the model's is [{}]", name, named.name,
           fmt::join(it->second.shape, ","), fmt::join(named.file_shape, ","));
    }
    restore_tensor(session, named, it->second, name);
  }
}

}  // namespace

void restore_tensor(Session& session, const NamedTensor& named, const FileTensor& tensor,
                    const std::string& name) {
  require_float(tensor, named.name, name);
  std::vector<double> values = to_values(tensor);
  if (named.name == loss_scale_name)
    require_loss_scale(values, name);
  else
    require_finite(values, named.name, name);
  if (named.parameter) values = from_file_order(*named.parameter, values);
  session.write_values(named.tensor, values);
}

bool belongs_to_training(const std::string& tensor) {
  const auto starts = [&](const char* prefix) { return tensor.starts_with(prefix); };
  return starts(optimizer_prefix) || starts(average_prefix) || tensor == progress_metrics_name;
}

bool is_of_layer(const std::string& tensor, const std::string& layer) {
  const std::string name =
      tensor.starts_with(average_prefix) ? tensor.substr(std::strlen(average_prefix)) : tensor;
  return name == layer || name.starts_with(layer + ".");
}

Progress restore_checkpoint(Session& session, const TensorFile& file, const std::string& name,
                            bool with_optimizer) {
  restore_tensors(session, session.named_tensors(with_optimizer), file, name);
  return progress_in(file, name);
}

TensorFile exported_weights(TensorFile checkpoint, const std::string& name_of_file) {
  TensorFile file;
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (belongs_to_training(name)) continue;
    const auto average = checkpoint.tensors.find(average_prefix + name);
    FileTensor& from = average == checkpoint.tensors.end() ? tensor : average->second;
    require_float(from, name, name_of_file);
    require_finite(to_values(from), name, name_of_file);
    if (from.dtype != DType::f32) from = {DType::f32, from.shape, to_bytes<float>(to_values(from))};
    file.tensors[name] = std::move(from);
  }
  file.metadata = {{"format", "pt"}};  // as PyTorch's users write it: the order within tensors is PyTorch's
  return file;
}

TensorFile predictions_file(const Predictions& predictions, const std::string& checkpoint) {
  const auto images = static_cast<std::int64_t>(predictions.labels.size());
  TensorFile file;
  file.tensors["logits"] = {DType::f32, {images, predictions.classes}, to_bytes<float>(predictions.logits)};
  file.tensors["labels"] = {DType::i32, {images}, to_bytes<std::int32_t>(predictions.labels)};
  file.metadata = {{"format", "convoy-predictions-1"}, {"checkpoint", checkpoint}};
  return file;
}

}  // namespace convoy
