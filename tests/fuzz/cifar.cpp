// The readers of CIFAR-10 and CIFAR-100. An input is one byte that says which (bit 0), then the file of
// training images; CIFAR-10's five files are that one five times.
#include "src/data/reading.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  static const bool linked = [] {
    for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                             "data_batch_5.bin"}) {
      folder.link("train.bin", name);
    }
    return true;
  }();
  if (size < 1 || !linked) return 0;
  const fuzz::Bytes file(data + 1, size - 1);
  const bool fine = (data[0] & 1) != 0;
  folder.write("train.bin", file);
  const std::size_t content = (fine ? 1 : 5) * file.size();
  Dataset read;
  const bool accepted = fuzz::accepts([&] {
    const fuzz::MemoryLimit limit((64 << 10) + 4 * content);
    read = fine ? read_cifar100(folder.path(), false) : read_cifar10(folder.path(), false);
  });
  if (!accepted) return 0;
  const std::size_t label_bytes = fine ? 2 : 1;
  fuzz::require(read.images.size() + label_bytes * read.labels.size() == content,
                "all that the files hold is read");
  for (const std::int32_t label : read.labels)
    fuzz::require(label >= 0 && label < read.classes, "labels are classes");
  return 0;
}
