// Writes zip archives for tests, as torch.save() and NumPy do.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>

namespace convoy::testing {

class ZipWriter {
 public:
  /// Stored as it is, whatever `method` says.
  void add(const std::string& name, const std::string& content) {
    put(name, content, content, static_cast<std::uint32_t>(content.size()), method);
  }
  /// Compressed; it says to be of `size` bytes.
  void add_compressed(const std::string& name, const std::string& content, std::uint32_t size) {
    std::string packed(compressBound(content.size()) + 64, '\0');
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));  // only read
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    put(name, content, packed, size, 8);
  }
  std::string finish() const {
    return bytes_ + directory_ + "PK\5\6" + number<std::uint32_t>(0) + number(entries_) + number(entries_) +
           number(static_cast<std::uint32_t>(directory_.size())) +
           number(static_cast<std::uint32_t>(bytes_.size())) + number<std::uint16_t>(0);
  }

  std::uint16_t method = 0;  ///< what members of add() are said to be compressed by; 0: not at all

 private:
  void put(const std::string& name, const std::string& content, const std::string& stored, std::uint32_t size,
           std::uint16_t how) {
    const auto checksum = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()));
    std::string common = number<std::uint16_t>(0);  // flags
    common += number(how) + number<std::uint32_t>(0) + number(checksum) +
              number(static_cast<std::uint32_t>(stored.size())) + number(size) +
              number(static_cast<std::uint16_t>(name.size())) + number<std::uint16_t>(0);
    directory_ += "PK\1\2" + number<std::uint16_t>(0) + number<std::uint16_t>(0) + common +
                  number<std::uint16_t>(0) + number<std::uint16_t>(0) + number<std::uint16_t>(0) +
                  number<std::uint32_t>(0) + number(static_cast<std::uint32_t>(bytes_.size())) + name;
    bytes_ += "PK\3\4" + number<std::uint16_t>(0) + common + name + stored;
    ++entries_;
  }
  template <class Integer>
  static std::string number(Integer value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  std::string bytes_, directory_;
  std::uint16_t entries_ = 0;
};

}  // namespace convoy::testing
