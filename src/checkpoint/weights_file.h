// Weights that others have trained, to begin a run with.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/io/safetensors.h"
#include "src/session/session.h"

namespace convoy {

/// Throws Error where there is no file; `given_as`: "--init" or "model.init:".
void require_weights_file(const std::filesystem::path& path, const std::string& given_as);

/// Reads weights of anybody's making on rank 0 and shares them with the others: a safetensors file, the index
/// of one in several parts (X.safetensors.index.json), or a file of torch.save(). Throws AgreedError.
TensorFile load_weights(const std::filesystem::path& path, const RankEnvironment& ranks);

/// What restore_weights() has done.
struct RestoredWeights {
  std::size_t loaded = 0;            ///< parameters and running averages
  std::vector<std::string> anew;     ///< layers that begin anew
  std::vector<std::string> ignored;  ///< names in the file that no training needs
  std::string prefix;                ///< that was taken off the file's names
  std::string timm;                  ///< timm's network that the file's names are of; or empty
  std::string head;  ///< why the last layer begins anew: "1000 scores in the file, 37 here"; or empty
  /// In a sentence for people.
  std::string text() const;
};

/// Puts the weights and running averages of a file under PyTorch's names into the session, so that they are
/// where its training begins; a checkpoint's optimizer is left out. Prefixes that wrappers put before all
/// names ("module.", "_orig_mod.", "model.", "backbone.") are taken off. Names of timm's are understood
/// (timm_file.h). The last layer begins anew if it has
/// another number of outputs, as do the layers named by `except` ("fc", "4.body.0"), whatever the file holds
/// of them. Throws Error that lists everything that is missing, left over or of another shape, the nearest
/// names beside.
RestoredWeights restore_weights(Session& session, const TensorFile& file, const std::string& name,
                                const std::vector<std::string>& except = {});

/// What restore_weights() would do for a network, without one on a device.
RestoredWeights match_weights(const Graph& graph, const TensorFile& file, const std::string& name);

}  // namespace convoy
