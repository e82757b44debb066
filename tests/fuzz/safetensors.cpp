// The reader of safetensors files, which checkpoints are. An input is a file. One without a checksum is read
// all the same, so that more than the checksum is tested; what was read is then written, with one, and read
// again.
#include "src/io/safetensors.h"

#include "tests/fuzz/fuzz.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(fuzz::as_text({data, size}));
  TensorFile file;
  const bool accepted = fuzz::accepts([&] {
    const fuzz::MemoryLimit limit((64 << 10) +
                                  128 * size);  // JSON as objects is that much larger than its text
    file = from_safetensors(bytes, "fuzz");
  });
  if (!accepted) return 0;
  std::size_t content = 0;
  for (const auto& [name, tensor] : file.tensors) content += tensor.bytes.size();
  fuzz::require(content <= size, "tensors share no bytes");
  const TensorFile again = from_safetensors(to_safetensors(file), "again");
  fuzz::require(again.is_verified && again.metadata == file.metadata, "what is written is read: metadata");
  fuzz::require(again.tensors.size() == file.tensors.size(), "what is written is read: names");
  for (const auto& [name, tensor] : file.tensors) {
    const FileTensor& other = again.tensors.at(name);
    fuzz::require(other.dtype == tensor.dtype && other.shape == tensor.shape && other.bytes == tensor.bytes,
                  "what is written is read: tensors");
  }
  return 0;
}
