// Files of NumPy, made without it.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace convoy::testing {

/// As numpy.save() writes an array with this header.
inline std::string npy_file(const std::string& header, const std::string& values) {
  std::string text = header;
  while ((10 + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string out = "\x93NUMPY\x01";
  out += '\0';
  out += static_cast<char>(text.size() & 255);
  out += static_cast<char>(text.size() >> 8);
  return out + text + values;
}
inline std::string npy_header(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

/// A member of an archive; `method` 8: `stored` is what deflate made of the content.
struct ZipMember {
  std::string name, stored;
  std::uint16_t method = 0;
  std::uint32_t checksum = 0, size = 0;
};
inline ZipMember stored_member(const std::string& name, const std::string& content) {
  const auto checksum = crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  return {name, content, 0, static_cast<std::uint32_t>(checksum), static_cast<std::uint32_t>(content.size())};
}
inline std::string zip_file(const std::vector<ZipMember>& members) {
  const auto put = [](std::string& to, std::size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i) & 255);
  };
  std::string file, directory;
  for (const ZipMember& member : members) {
    const std::size_t at = file.size();
    const auto common = [&](std::string& to) {
      put(to, 20, 2), put(to, 0, 2), put(to, member.method, 2), put(to, 0, 4), put(to, member.checksum, 4);
      put(to, member.stored.size(), 4), put(to, member.size, 4), put(to, member.name.size(), 2),
          put(to, 0, 2);
    };
    put(file, 0x04034b50, 4), common(file);
    file += member.name + member.stored;
    put(directory, 0x02014b50, 4), put(directory, 20, 2), common(directory);
    put(directory, 0, 6), put(directory, 0, 4), put(directory, at, 4);
    directory += member.name;
  }
  std::string end;
  put(end, 0x06054b50, 4), put(end, 0, 4), put(end, members.size(), 2), put(end, members.size(), 2);
  put(end, directory.size(), 4), put(end, file.size(), 4), put(end, 0, 2);
  return file + directory + end;
}

}  // namespace convoy::testing
