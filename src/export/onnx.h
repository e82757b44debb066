// A network with its weights as an ONNX model: https://onnx.ai/onnx/repo-docs/IR.html, operators of opset 18
// (https://onnx.ai/onnx/operators/).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/io/resize.h"
#include "src/io/safetensors.h"
#include "src/model/graph.h"

namespace convoy {

struct OnnxDescription {
  std::string name;  ///< the graph's
  /// Per channel: the network takes (pixel - mean) / std of pixels in [0,1]. The model does that itself.
  std::vector<double> mean, std;
  std::vector<std::string> class_names;  ///< in the order of the logits; empty: not known
  std::string version;                   ///< of this program
  /// How pictures of any size become the network's input; none: the input is what the network takes.
  std::optional<PictureView> pictures{};
};

/// Whether an input of the network can be made of a picture: it has two axes and 1 or 3 channels.
bool takes_pictures(const Graph& graph);

/// What such a model's input is, for people.
std::string description_of_input(const Graph& graph, const std::optional<PictureView>& pictures);

/// The file's bytes. Input "images": with `pictures` u8 (N,H,W,C) of any N, H and W, C 1 or 3; else float
/// (N,C,H,W), of volumes (N,C,D,H,W), any N, pixels / 255. Output "logits": float (N,classes). BatchNorm
/// takes its running averages, dropout is left out. `weights` holds f32 tensors by the names and in the order
/// of files (exported_weights()). The metadata says what the input is and, as a JSON list, what the classes
/// are called.
///
/// Throws Error naming a tensor that is missing or misshapen, or for more than the 2 GiB that such a file can
/// hold.
std::string to_onnx(const Graph& graph, const TensorFile& weights, const OnnxDescription& description);

}  // namespace convoy
