#include "src/train/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "comm/agree.h"
#include "src/core/log.h"
#include "src/io/atomic_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
constexpr const char* extension = ".safetensors";
constexpr const char* format_name = "convoy-checkpoint-1";

template <class T, class Value>
std::vector<std::byte> to_bytes(const std::vector<Value>& values) {
  const std::vector<T> typed(values.begin(), values.end());
  std::vector<std::byte> bytes(typed.size() * sizeof(T));
  std::memcpy(bytes.data(), typed.data(), bytes.size());
  return bytes;
}

template <class T>
std::vector<double> to_values(const std::vector<std::byte>& bytes) {
  std::vector<T> typed(bytes.size() / sizeof(T));
  std::memcpy(typed.data(), bytes.data(), bytes.size());
  return {typed.begin(), typed.end()};
}

/// By epoch: longer names have more digits, so a larger one.
bool is_later(const fs::path& a, const fs::path& b) {
  return std::pair(a.string().size(), a) > std::pair(b.string().size(), b);
}

const std::string& metadata(const TensorFile& file, const std::string& key, const std::string& name) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end()) fail("{}: not a Convoy checkpoint: its metadata has no \"{}\"", name, key);
  return it->second;
}

/// The candidates for `path`, best first.
std::vector<fs::path> candidates(const fs::path& path) {
  if (!fs::exists(path)) fail("{} does not exist", path.string());
  if (!fs::is_directory(path)) return {path};
  return list_checkpoints(fs::is_directory(path / "checkpoints") ? path / "checkpoints" : path);
}

}  // namespace

TensorFile make_checkpoint(Session& session, const Config& config, const Progress& progress) {
  TensorFile file;
  for (const NamedTensor& named : session.named_tensors(true)) {
    std::vector<double> values = session.read_values(named.tensor);
    if (named.parameter) values = to_file_order(*named.parameter, values);
    const DType dtype = named.tensor.dtype;
    file.tensors[named.name] = {dtype, named.file_shape,
                                dtype == DType::f64 ? to_bytes<double>(values) : to_bytes<float>(values)};
  }
  file.metadata = {{"format", format_name},
                   {"config", to_yaml(config)},
                   {"epochs_done", std::to_string(progress.epochs_done)},
                   {"steps_done", std::to_string(progress.steps_done)},
                   {"best_metric", progress.best_metric},
                   {"best_value", fmt::format("{:a}", progress.best_value)},  // exact
                   {"epochs_since_best", std::to_string(progress.epochs_since_best)}};
  return file;
}

const std::string& stored_config(const LoadedCheckpoint& checkpoint) {
  return metadata(checkpoint.file, "config", checkpoint.path.string());
}

Progress restore_checkpoint(Session& session, const TensorFile& file, const std::string& name,
                            bool with_optimizer) {
  for (const NamedTensor& named : session.named_tensors(with_optimizer)) {
    const auto it = file.tensors.find(named.name);
    if (it == file.tensors.end() && named.optional) continue;
    if (it == file.tensors.end())
      fail("{}: has no tensor {}: it is of another model or optimizer", name, named.name);
    const FileTensor& tensor = it->second;
    if (tensor.shape != named.file_shape) {
      fail("{}: tensor {} has shape [{}], the model's is [{}]", name, named.name,
           fmt::join(tensor.shape, ","), fmt::join(named.file_shape, ","));
    }
    if (tensor.dtype != DType::f32 && tensor.dtype != DType::f64) {
      fail("{}: tensor {} holds {}, not f32 or f64", name, named.name, name_of(tensor.dtype));
    }
    std::vector<double> values =
        tensor.dtype == DType::f64 ? to_values<double>(tensor.bytes) : to_values<float>(tensor.bytes);
    if (named.parameter) values = from_file_order(*named.parameter, values);
    session.write_values(named.tensor, values);
  }
  Progress progress;
  progress.epochs_done = std::stoi(metadata(file, "epochs_done", name));
  progress.steps_done = std::stoll(metadata(file, "steps_done", name));
  progress.best_metric = metadata(file, "best_metric", name);
  progress.best_value = std::stod(metadata(file, "best_value", name));
  progress.epochs_since_best = std::stoi(metadata(file, "epochs_since_best", name));
  return progress;
}

fs::path checkpoint_path(const fs::path& folder, int epochs_done) {
  return folder / fmt::format("epoch-{:04}{}", epochs_done, extension);
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
  std::vector<fs::path> paths;
  if (!fs::is_directory(folder)) return paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("epoch-") && entry.path().extension() == extension) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end(), is_later);
  return paths;
}

void set_aside_later_checkpoints(const fs::path& folder, int epochs_done) {
  for (const fs::path& path : list_checkpoints(folder)) {
    if (is_later(path, checkpoint_path(folder, epochs_done))) fs::rename(path, path.string() + ".old");
  }
}

void remove_old_checkpoints(const fs::path& folder, int keep) {
  if (keep == 0) return;
  const std::vector<fs::path> paths = list_checkpoints(folder);
  for (std::size_t i = static_cast<std::size_t>(keep); i < paths.size(); ++i) fs::remove(paths[i]);
}

std::optional<LoadedCheckpoint> load_checkpoint(const fs::path& path, const RankEnvironment& ranks) {
  std::string bytes, chosen;
  agree(ranks, [&] {
    if (!ranks.is_root()) return;
    const std::vector<fs::path> paths = candidates(path);
    for (const fs::path& candidate : paths) {
      try {
        bytes = read_file(candidate);
        const TensorFile file = from_safetensors(bytes, candidate.string());
        if (metadata(file, "format", candidate.string()) != format_name) {
          fail("{}: written by another version", candidate.string());
        }
        if (!file.is_verified) fail("{}: altered: its checksum is gone", candidate.string());
        chosen = candidate.string();
        return;
      } catch (const Error& error) {
        if (paths.size() == 1) throw;
        log_warn("skipping a checkpoint: {}", error.what());
      }
    }
    if (!paths.empty()) fail("{}: none of its {} checkpoints verifies", path.string(), paths.size());
  });
  const auto share = [&](std::string& text) {
    std::uint64_t length = text.size();
    ranks.broadcast(&length, sizeof length);
    text.resize(length);
    ranks.broadcast(text.data(), length);
  };
  share(chosen);
  if (chosen.empty()) return std::nullopt;
  share(bytes);
  return LoadedCheckpoint{chosen, from_safetensors(bytes, chosen)};
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
