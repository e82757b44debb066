// Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file with a
// checksum.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "src/checkpoint/progress.h"
#include "src/io/safetensors.h"
#include "src/session/session.h"

namespace convoy {

/// What the names of tensors begin with that are the optimizer's.
inline constexpr const char* optimizer_prefix = "optimizer.";

/// What a checkpoint holds, copied to host memory: the run may go on while it is written.
class Snapshot {
 public:
  /// Allocates the memory, page-locked where the engine has it, once for all copies.
  explicit Snapshot(Session& session);
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  /// Copies the session's state after the steps queued so far.
  void take(const Progress& progress);
  /// Writes it: weights under PyTorch's names and in its order, moments as "optimizer.<moment>.<name>";
  /// progress, the resolved configuration and what the data is (src/checkpoint/data_record.h) in the
  /// metadata. Throws Error as AtomicFile does, and for weights that are not finite.
  void write(const std::filesystem::path& path, const std::string& config) const;

 private:
  const std::byte* values_of(const NamedTensor& named) const;
  void require_finite_weights() const;

  Session& session_;
  std::vector<NamedTensor> tensors_;
  std::array<std::uint8_t*, arena_count> copies_{};  ///< of whole arenas; null where none is needed
  Progress progress_;
};

/// Puts a checkpoint's tensors into the session and returns its progress. Throws Error naming the first
/// tensor that is missing or misshapen. Without `with_optimizer`, weights and running averages only.
Progress restore_checkpoint(Session& session, const TensorFile& file, const std::string& name,
                            bool with_optimizer);

/// Puts a tensor of the file `name` into the session. Throws Error where its values are no finite numbers of
/// floating point.
void restore_tensor(Session& session, const NamedTensor& named, const FileTensor& tensor,
                    const std::string& name);
/// Whether a checkpoint has the tensor besides weights and running averages.
bool belongs_to_training(const std::string& tensor);
/// Whether a tensor, or the average of one, is `layer` or of it: "7" has "7.weight" and "average.7.bias".
bool is_of_layer(const std::string& tensor, const std::string& layer);

/// The weights that a checkpoint's run is evaluated with, alone, in f32: the moving averages where it has
/// some. Throws Error naming `name` and the tensor where a value is not finite.
TensorFile exported_weights(TensorFile checkpoint, const std::string& name);

/// Throws Error for a checkpoint of an older format that does not say in which order the values of a `wanted`
/// parameter of `graph` stand. restore_checkpoint() and restore_weights() ask this themselves.
void require_known_order(
    const TensorFile& file, const Graph& graph, const std::string& name,
    const std::function<bool(const std::string& parameter)>& wanted = [](const std::string&) {
      return true;
    });
/// `logits` (images,classes) f32 and `labels` (images) i32 as file contents; `checkpoint` names their origin
/// in the metadata.
TensorFile predictions_file(const Predictions& predictions, const std::string& checkpoint);

}  // namespace convoy
