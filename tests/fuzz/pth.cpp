// The reader of PyTorch's files of weights. An input is a file: an archive whose members are found by its
// list, and a pickle in it. Or, where it is no archive, the pickle of one that has two storages.
#include "src/io/pickle.h"
#include "src/io/torch_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/io/zip_writer.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(fuzz::as_text({data, size}));
  if (!is_torch_file(std::as_bytes(std::span(bytes)))) {
    testing::ZipWriter archive;
    archive.add("a/data.pkl", bytes);
    archive.add("a/data/0", std::string(64, '\1'));
    archive.add("a/data/1", std::string(24, '\2'));
    bytes = archive.finish();
  }
  TensorFile file;
  const bool accepted = fuzz::accepts([&] {
    // A value of a pickle is that much larger than the byte that makes it, while a vector of them grows.
    const fuzz::MemoryLimit limit((64 << 10) + 512 * bytes.size());
    file = from_torch_file(bytes, "fuzz");
  });
  if (!accepted) return 0;
  for (const auto& [name, tensor] : file.tensors) {
    std::uint64_t expected = static_cast<std::uint64_t>(size_of(tensor.dtype));
    for (const std::int64_t dim : tensor.shape) expected *= static_cast<std::uint64_t>(dim);
    fuzz::require(tensor.bytes.size() == expected, "a tensor has as many bytes as its shape says");
    unsigned sum = 0;
    for (const std::byte byte : std::span<const std::byte>(tensor.bytes))
      sum += std::to_integer<unsigned>(byte);
    fuzz::require(sum != ~0u, "its bytes can be read");
  }
  return 0;
}
