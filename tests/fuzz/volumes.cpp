// The reader of NumPy's arrays and of the archives that hold them. An input is an array, or a whole archive.
#include "src/data/data_source.h"
#include "src/io/npy.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const std::string bytes(fuzz::as_text({data, size}));
  fuzz::accepts([&] {
    const NpyArray array = read_npy(SharedBytes(bytes), "fuzz");
    fuzz::require(array.count() >= 0 && array.values.size() <= bytes.size(), "values are those of the file");
    const std::vector<std::int64_t> values = integers_of(array, "fuzz");
    fuzz::require(static_cast<std::int64_t>(values.size()) == array.count(), "a value for each place");
  });
  folder.write("a.npz", {data, size});
  DataConfig config;
  config.source = Source::volumes;
  config.path = (folder.path() / "a.npz").string();
  fuzz::accepts([&] {
    // A byte of an archive stands for 1,032 at most, twice while a vector grows.
    const fuzz::MemoryLimit limit((4 << 20) + 4096 * bytes.size());
    const Dataset set = load_dataset(config, 1);
    const SourceInfo info = source_info(config);
    fuzz::require(info.image == set.image && info.classes == set.classes, "headers say what is read");
    fuzz::require(std::ssize(set.labels) * set.image.count() == std::ssize(set.images),
                  "an image for each label");
  });
  return 0;
}
