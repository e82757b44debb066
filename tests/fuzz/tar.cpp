// The reader of archives. An input is a tar, whose headers' sums are made right first, unless its first byte
// is odd; it is read as it stands and packed by gzip.
#include "src/io/tar.h"

#include <zlib.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "tests/fuzz/fuzz.h"

using namespace convoy;

namespace {

constexpr std::size_t block = 512, size_field = 124, sum_field = 148, size_digits = 12, sum_digits = 8;

void mend_sum(std::uint8_t* header) {
  std::memset(header + sum_field, ' ', sum_digits);
  unsigned sum = 0;
  for (std::size_t i = 0; i < block; ++i) sum += header[i];
  std::snprintf(reinterpret_cast<char*>(header + sum_field), sum_digits, "%06o", sum);
}

void mend(std::vector<std::uint8_t>& tar) {
  for (std::size_t at = 0; at + block <= tar.size();) {
    mend_sum(tar.data() + at);
    std::size_t size = 0;
    for (std::size_t i = 0; i < size_digits; ++i) {
      const std::uint8_t c = tar[at + size_field + i];
      if (c >= '0' && c <= '7') size = size * 8 + (c - '0');
    }
    at += block + (size + block - 1) / block * block;
  }
}

void write_gzipped(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
  const gzFile file = gzopen(path.c_str(), "wb1");
  fuzz::require(file != nullptr, "a temporary file cannot be written");
  if (!bytes.empty()) gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

bool unpack(const fuzz::Folder& folder, const char* archive, std::size_t size) {
  const bool accepted = fuzz::accepts([&] {
    const fuzz::MemoryLimit limit((2 << 20) + 16 * size);  // buffers
    unpack_members(folder.path() / archive, {"one", "two"}, folder.path());
  });
  std::uintmax_t unpacked = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    fuzz::require(name == "plain" || name == "packed" || name == "one" || name == "two",
                  "no other file is left");
    if (name != "plain" && name != "packed") unpacked += entry.file_size();
  }
  fuzz::require(!accepted || unpacked <= size, "no more is unpacked than was packed");
  return accepted;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  std::vector<std::uint8_t> tar(data, data + size);
  if (size > 0 && tar[0] % 2 == 0) mend(tar);
  folder.write("plain", tar);
  write_gzipped(folder.path() / "packed", tar);
  const bool plain = unpack(folder, "plain", size);
  const bool looks_gzipped = size > 1 && tar[0] == 0x1f && tar[1] == 0x8b;
  const bool packed = unpack(folder, "packed", size);
  fuzz::require(looks_gzipped || plain == packed, "packed or not, it is the same archive");
  return 0;
}
