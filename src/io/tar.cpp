// A tar is a sequence of headers of 512 bytes, each followed by its member's bytes, padded to a multiple of
// 512 (POSIX.1-2017, pax, "ustar Interchange Format"). zlib unpacks it and checks the gzip sum.
#include "src/io/tar.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>

#include "core/error.h"
#include "src/io/atomic_file.h"
#include "src/io/gzip_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t block = 512;

/// Fills `bytes`. False at the end of the file; throws when it comes in their midst.
bool read_all(GzipFile& file, std::span<char> bytes) {
  const std::size_t done = file.read({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  if (done == bytes.size()) return true;
  if (const std::string problem = file.problem(); !problem.empty())
    fail("{}: the archive is damaged or truncated: {}", file.path().string(), problem);
  if (done > 0) fail("{}: the archive ends in the midst of a file", file.path().string());
  return false;
}

using Header = std::array<char, block>;

/// A field of the header up to its first zero.
std::string text_of(const Header& header, std::size_t offset, std::size_t length) {
  const char* begin = header.data() + offset;
  return {begin, std::find(begin, begin + length, '\0')};
}

/// An octal number, blanks around it.
std::int64_t number_of(const Header& header, std::size_t offset, std::size_t length, const fs::path& path) {
  const std::string text = text_of(header, offset, length);
  std::int64_t value = 0;
  bool digits = false;
  for (const char c : text) {
    if (c == ' ') continue;
    if (c < '0' || c > '7') fail("{}: not a tar archive, or a damaged one", path.string());
    value = value * 8 + (c - '0');
    digits = true;
  }
  if (!digits) fail("{}: not a tar archive, or a damaged one", path.string());
  return value;
}

/// The sum of all bytes, those of the sum itself taken as blanks.
void check_header(const Header& header, const fs::path& path) {
  constexpr std::size_t offset = 148, length = 8;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < block; ++i) {
    const bool own = i >= offset && i < offset + length;
    sum += own ? ' ' : static_cast<unsigned char>(header[i]);
  }
  if (sum != number_of(header, offset, length, path))
    fail("{}: not a tar archive, or a damaged one", path.string());
}

}  // namespace

void unpack_members(const fs::path& archive, const std::vector<std::string>& names, const fs::path& folder) {
  GzipFile packed(archive);
  std::map<std::string, std::unique_ptr<AtomicFile>> files;
  Header header{};
  std::vector<char> piece(std::size_t{1} << 18);
  while (read_all(packed, header)) {
    if (std::all_of(header.begin(), header.end(), [](char c) { return c == 0; })) continue;  // at the end
    check_header(header, archive);
    const std::string path = text_of(header, 0, 100);
    const std::string name = path.substr(path.rfind('/') + 1);
    const char type = header[156];
    AtomicFile* file = nullptr;
    if ((type == '0' || type == '\0') && std::find(names.begin(), names.end(), name) != names.end()) {
      files[name] = nullptr;  // a second one of the name replaces the first, whose temporary name it takes
      file = (files[name] = std::make_unique<AtomicFile>(folder / name)).get();
    }
    const std::int64_t size = number_of(header, 124, 12, archive);
    for (std::int64_t left = size; left > 0;) {
      const auto count = static_cast<std::size_t>(std::min<std::int64_t>(left, std::ssize(piece)));
      const auto part = std::span(piece).first(count);
      if (!read_all(packed, part)) fail("{}: the archive ends in the midst of {}", archive.string(), path);
      if (file != nullptr) file->write(std::as_bytes(part));
      left -= static_cast<std::int64_t>(count);
    }
    const std::size_t padding = (block - static_cast<std::size_t>(size) % block) % block;
    if (padding > 0 && !read_all(packed, std::span(piece).first(padding)))
      fail("{}: the archive ends in the midst of {}", archive.string(), path);
  }
  for (const std::string& name : names) {
    if (!files.contains(name)) fail("{}: there is no {} in the archive", archive.string(), name);
  }
  for (const auto& [name, file] : files) file->commit();
}

}  // namespace convoy
