// The safetensors file format: an 8-byte header length, a JSON header, raw little-endian tensors.
// https://github.com/huggingface/safetensors#format
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "src/io/shared_bytes.h"

namespace convoy {

struct FileTensor {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  SharedBytes bytes;  ///< aligned as the type needs it
};

/// A set of named tensors with string metadata.
struct TensorFile {
  std::map<std::string, FileTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::string> left_out;  ///< read: tensors of types not known here, and the type
  bool is_verified = false;  ///< set on reading: the file carries a checksum, and it matches
};

/// A tensor of a file to be, without its values.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
};
/// Writes a file atomically, as to_safetensors() would make it, without holding it in memory: `values_of` is
/// asked for the bytes of one entry after the other. Throws Error as AtomicFile does.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorEntry>& entries,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<std::span<const std::byte>(std::size_t entry)>& values_of);

/// The file's bytes. The metadata gains "checksum": CRC-32 of everything, the checksum's own digits taken as
/// zeros.
std::string to_safetensors(const TensorFile& file);
/// Which tensors of a file to keep; empty: all.
using WantedTensors = std::function<bool(const std::string& tensor)>;
/// Throws Error naming `name` and what is wrong for anything truncated, inconsistent or, when the file
/// carries a checksum, altered. Tensors are parts of `bytes` (copies where the file did not align them).
/// Those of types that this program has no use for, such as PyTorch's counters (I64), are left out but named,
/// and so are, without a name, those that are not `wanted`.
TensorFile from_safetensors(const SharedBytes& bytes, const std::string& name,
                            const WantedTensors& wanted = {});

/// What is to be given to from_safetensors(). Of a file that is none by its header, no more is read: throws
/// Error as from_safetensors() does. The shell's pipes, as in `--init <(COMMAND)`, are read, too.
SharedBytes safetensors_in(const std::filesystem::path& path);

/// The f32 values of a tensor, which the file owns. Throws Error naming it when it is missing, of another
/// type or shape.
std::span<const float> floats_in(const TensorFile& file, const std::string& tensor,
                                 const std::vector<std::int64_t>& shape);

}  // namespace convoy
