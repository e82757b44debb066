// The reader of configurations. An input is a YAML text; comment lines that begin with "#= " are overrides of
// the command line, too.
#include <vector>

#include "src/config/config.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz::as_text({data, size}));
  std::vector<std::string> overrides;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (text.compare(at, 3, "#= ") == 0) overrides.push_back(text.substr(at + 3, end - at - 3));
    at = end + 1;
  }
  Config config;
  const bool accepted = fuzz::accepts([&] {
    // Aliases let a short text, and each override by itself, stand for a fixed number of values and
    // characters.
    const fuzz::MemoryLimit limit((overrides.size() + 1) * (16 << 20) + 2048 * size);
    config = parse_config(text, "fuzz", overrides);
  });
  if (!accepted) return 0;
  const std::string written = to_yaml(config);
  fuzz::require(to_yaml(parse_config(written, "again", {})) == written, "what is written is read");
  return 0;
}
