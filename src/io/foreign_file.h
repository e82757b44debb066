// Files of other kinds that are given where a safetensors file is expected.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace convoy {

/// What the bytes are, with what to do about it, to stand behind "not a safetensors file": " but PyTorch's
/// ...". Empty when they are none of the kinds that are known.
std::string foreign_kind(std::span<const std::byte> bytes, const std::string& name);

}  // namespace convoy
