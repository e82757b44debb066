// What a run's folder says of it. An input is metrics.jsonl; its first line is failure.json, too.
#include <algorithm>

#include "src/run/run_list.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const fuzz::Bytes bytes(data, size);
  folder.write("metrics.jsonl", bytes);
  const auto line = std::find(bytes.begin(), bytes.end(), '\n') - bytes.begin();
  folder.write("failure.json", bytes.first(static_cast<std::size_t>(line)));
  const fuzz::MemoryLimit limit((256 << 10) + 128 * size);
  const RunFigures run = read_run(folder.path());
  fuzz::require(run.epochs_done >= 0, "epochs are counted from none");
  return 0;
}
