// The reader of packed files. An input is a file whose hash is made right first, unless its last byte is odd.
#include "src/data/packed.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "src/data/packed_layout.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

namespace {

/// Labels are taken for the last four bytes for each of as many images as the one seed in the corpus has.
void mend_hash(std::vector<std::uint8_t>& file) {
  constexpr std::size_t labels = 2 * sizeof(std::int32_t);
  std::uint64_t text = 0;
  if (file.size() < packed_text + labels) return;
  std::memcpy(&text, file.data() + packed_magic.size(), sizeof text);
  if (text > file.size() - packed_text) return;
  const auto bytes = std::as_bytes(std::span(file));
  const std::uint64_t hash = packed_hash(bytes.subspan(packed_text, text), bytes.last(labels));
  std::memcpy(file.data() + packed_magic.size() + sizeof text, &hash, sizeof hash);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  std::vector<std::uint8_t> file(data, data + size);
  if (size > 0 && file.back() % 2 == 0) mend_hash(file);
  folder.write("fuzz.packed", file);
  DataConfig config;
  config.source = Source::packed;
  config.path = (folder.path() / "fuzz.packed").string();
  config.input = {3, 4, 5};
  Dataset read;
  const bool accepted = fuzz::accepts([&] {
    const fuzz::MemoryLimit limit((64 << 10) + 128 * size);
    read = read_packed(config, 1);
  });
  if (!accepted) return 0;
  fuzz::require(read.labels.size() == read.train.size() + read.validation.size(), "every image has a label");
  std::vector<std::uint8_t> image(static_cast<std::size_t>(read.image.count()));
  for (const std::int32_t sample : {0, static_cast<std::int32_t>(read.labels.size()) - 1})
    fetch_image(read, sample, {}, image.data());
  return 0;
}
