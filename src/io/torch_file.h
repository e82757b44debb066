// The weights in a file of torch.save(): a zip archive of a pickle that says which tensors there are, and of
// their numbers. https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
#pragma once

#include <span>
#include <string>

#include "src/io/safetensors.h"

namespace convoy {

/// Whether the bytes begin as such a file does, that of PyTorch 1.6 or newer.
bool is_torch_file(std::span<const std::byte> bytes);

/// The tensors of a state_dict, or of the one that a training checkpoint keeps under "state_dict",
/// "model_state_dict" or "model". No code of the file is run. Tensors are parts of `bytes`, copies where they
/// do not lie there as one piece in the order of their axes; those of types that this program has no use for
/// are left out but named. Throws Error naming `name` and what is wrong.
TensorFile from_torch_file(const SharedBytes& bytes, const std::string& name);

}  // namespace convoy
