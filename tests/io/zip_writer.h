// Writes zip archives for tests, stored members alone, as torch.save() does.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>

namespace convoy::testing {

class ZipWriter {
 public:
  void add(const std::string& name, const std::string& content) {
    const auto checksum = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()));
    const auto size = static_cast<std::uint32_t>(content.size());
    std::string common = number<std::uint16_t>(0);  // flags
    common += number<std::uint16_t>(method) + number<std::uint32_t>(0) + number(checksum) + number(size) +
              number(size) + number(static_cast<std::uint16_t>(name.size())) + number<std::uint16_t>(0);
    directory_ += "PK\1\2" + number<std::uint16_t>(0) + number<std::uint16_t>(0) + common +
                  number<std::uint16_t>(0) + number<std::uint16_t>(0) + number<std::uint16_t>(0) +
                  number<std::uint32_t>(0) + number(static_cast<std::uint32_t>(bytes_.size())) + name;
    bytes_ += "PK\3\4" + number<std::uint16_t>(0) + common + name + content;
    ++entries_;
  }
  std::string finish() const {
    return bytes_ + directory_ + "PK\5\6" + number<std::uint32_t>(0) + number(entries_) + number(entries_) +
           number(static_cast<std::uint32_t>(directory_.size())) +
           number(static_cast<std::uint32_t>(bytes_.size())) + number<std::uint16_t>(0);
  }

  std::uint16_t method = 0;  ///< what members are said to be compressed by; 0: not at all

 private:
  template <class Integer>
  static std::string number(Integer value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  std::string bytes_, directory_;
  std::uint16_t entries_ = 0;
};

}  // namespace convoy::testing
