// The safetensors file format: an 8-byte header length, a JSON header, raw little-endian tensors.
// https://github.com/huggingface/safetensors#format
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/core/tensor.h"

namespace convoy {

struct FileTensor {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};

/// A set of named tensors with string metadata.
struct TensorFile {
  std::map<std::string, FileTensor> tensors;
  std::map<std::string, std::string> metadata;
  bool is_verified = false;  ///< set on reading: the file carries a checksum, and it matches
};

/// The file's bytes. The metadata gains "checksum": CRC-32 of everything, the checksum's own digits taken as
/// zeros.
std::string to_safetensors(const TensorFile& file);
/// Throws Error naming `name` and what is wrong for anything truncated, inconsistent or, when the file
/// carries a checksum, altered.
TensorFile from_safetensors(const std::string& bytes, const std::string& name);

}  // namespace convoy
