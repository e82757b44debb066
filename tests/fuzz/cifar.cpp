// The readers of CIFAR-10 and CIFAR-100. An input is one byte that says which (bit 0), then the file of
// images; all files of either are that one.
#include "src/data/dataset.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  static const bool linked = [] {
    for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                             "data_batch_5.bin", "test_batch.bin", "test.bin"}) {
      folder.link("train.bin", name);
    }
    return true;
  }();
  if (size < 1 || !linked) return 0;
  const fuzz::Bytes file(data + 1, size - 1);
  const bool fine = (data[0] & 1) != 0;
  folder.write("train.bin", file);
  const std::size_t content = (fine ? 2 : 6) * file.size();
  DataConfig config;
  config.source = fine ? Source::cifar100 : Source::cifar10;
  config.path = folder.path().string();
  Dataset read;
  const bool accepted = fuzz::accepts([&] {
    const fuzz::MemoryLimit limit((64 << 10) + 4 * content);
    read = load_dataset(config, 1);
  });
  if (!accepted) return 0;
  const std::size_t label_bytes = fine ? 2 : 1;
  fuzz::require(read.images.size() + label_bytes * read.labels.size() == content,
                "all that the files hold is read");
  for (const std::int32_t label : read.labels)
    fuzz::require(label >= 0 && label < read.classes, "labels are classes");
  return 0;
}
