// The reader of packed files. An input is a file whose checksums are made right first, unless its last byte
// is odd.
#include <algorithm>
#include <cstring>
#include <vector>

#include "src/data/data_source.h"
#include "src/data/packed_layout.h"
#include "src/io/json_reader.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

namespace {

/// Where the header's text puts things; nothing where it does not fit the file.
PackedLayout layout_of(const std::vector<std::uint8_t>& file, std::uint64_t text) {
  PackedLayout layout;
  fuzz::accepts([&] {
    const std::string_view words = fuzz::as_text(std::span(file).subspan(packed_text, text));
    const nlohmann::json header = read_json(words, "fuzz", 2);
    const auto number = [&](const char* key) -> std::uint64_t {
      const auto found = header.find(key);
      return found != header.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() % 100'000 : 0;
    };
    if (!header.is_object()) return;
    const std::uint64_t samples = number("train") + number("validation") + number("test");
    layout = PackedLayout(text, samples, 3 * number("height") * number("width"),
                          number("version") >= packed_version_with_sums);
  });
  return layout.end == file.size() && layout.labels < layout.end ? layout : PackedLayout{};
}

/// Whether all checksums are right now.
bool mend(std::vector<std::uint8_t>& file) {
  std::uint64_t text = 0;
  if (file.size() < packed_text) return false;
  std::memcpy(&text, file.data() + packed_magic.size(), sizeof text);
  if (text > file.size() - packed_text) return false;
  const PackedLayout layout = layout_of(file, text);
  if (layout.end == 0) return false;
  const auto bytes = std::as_bytes(std::span(file));
  const std::uint64_t samples =
      layout.image_bytes == 0 ? 0 : (layout.labels - layout.images) / layout.image_bytes;
  const std::uint64_t sums = layout.labels + samples * sizeof(std::int32_t);
  for (std::uint64_t i = 0; sums < layout.end && i < samples; ++i) {
    const std::uint64_t sum =
        packed_image_hash(bytes.subspan(layout.images + i * layout.image_bytes, layout.image_bytes));
    std::memcpy(file.data() + sums + i * sizeof sum, &sum, sizeof sum);
  }
  const std::uint64_t hash = packed_hash(bytes.subspan(packed_text, text), bytes.subspan(layout.labels));
  std::memcpy(file.data() + packed_magic.size() + sizeof text, &hash, sizeof hash);
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  std::vector<std::uint8_t> file(data, data + size);
  const bool mended = size > 0 && file.back() % 2 == 0 && mend(file);
  folder.write("fuzz.packed", file);
  DataConfig config;
  config.source = Source::packed;
  config.path = (folder.path() / "fuzz.packed").string();
  config.input = {3, 4, 5};
  Dataset read;
  const bool accepted = fuzz::accepts([&] {
    const fuzz::MemoryLimit limit((64 << 10) + 128 * size);
    read = load_dataset(config, 1);
  });
  if (!accepted) return 0;
  fuzz::require(read.labels.size() == read.train.size() + read.validation.size() + read.test.size(),
                "every image has a label");
  std::int64_t damaged = 0;
  fuzz::require(fuzz::accepts([&] { damaged = data_source(config.source).verify(config, 1).damaged; }),
                "all can be read");
  if (mended) fuzz::require(damaged == 0, "its checksums are right");
  std::vector<std::uint8_t> image(static_cast<std::size_t>(read.image.count()));
  for (const std::int32_t sample : {0, static_cast<std::int32_t>(read.labels.size()) - 1})
    fuzz::accepts([&] { fetch_image(read, sample, {}, image.data()); });
  return 0;
}
