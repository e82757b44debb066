#include "src/io/zip.h"

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <optional>

#include "core/error.h"

namespace convoy {
namespace {

constexpr std::uint32_t member_signature = 0x04034b50, entry_signature = 0x02014b50,
                        end_signature = 0x06054b50, end64_signature = 0x06064b50,
                        locator64_signature = 0x07064b50;
constexpr std::uint64_t member_header = 30, entry_header = 46, end_record = 22, end64_record = 56,
                        locator64 = 20;
constexpr std::uint64_t longest_comment = 65535;
constexpr std::uint32_t in_extra_field = 0xffffffff;  ///< of a size or an offset that needs 64 bits

/// Little-endian numbers at places that may lie outside.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}
  std::uint64_t size() const { return bytes_.size(); }

  template <class Integer>
  Integer at(std::uint64_t offset) const {
    Integer value;
    std::memcpy(&value, part(offset, sizeof value).data(), sizeof value);
    return value;
  }
  std::span<const std::byte> part(std::uint64_t offset, std::uint64_t count) const {
    if (offset > size() || count > size() - offset) fail("{}: truncated: its archive ends too early", name_);
    return bytes_.subspan(offset, count);
  }
  std::string text(std::uint64_t offset, std::uint64_t count) const {
    const std::span<const std::byte> characters = part(offset, count);
    return {reinterpret_cast<const char*>(characters.data()), characters.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
};

/// The list of members at the archive's end.
struct Directory {
  std::uint64_t entries = 0, offset = 0;
};

std::optional<Directory> find_directory(const Bytes& bytes) {
  if (bytes.size() < end_record) return std::nullopt;
  const std::uint64_t last = bytes.size() - end_record;
  for (std::uint64_t comment = 0; comment <= std::min(last, longest_comment); ++comment) {
    const std::uint64_t at = last - comment;
    if (bytes.at<std::uint32_t>(at) != end_signature || bytes.at<std::uint16_t>(at + 20) != comment) continue;
    if (at >= locator64 && bytes.at<std::uint32_t>(at - locator64) == locator64_signature) {
      const auto end64 = bytes.at<std::uint64_t>(at - locator64 + 8);
      bytes.part(end64, end64_record);  // lies within
      if (bytes.at<std::uint32_t>(end64) != end64_signature) return std::nullopt;
      return Directory{bytes.at<std::uint64_t>(end64 + 32), bytes.at<std::uint64_t>(end64 + 48)};
    }
    return Directory{bytes.at<std::uint16_t>(at + 10), bytes.at<std::uint32_t>(at + 16)};
  }
  return std::nullopt;
}

/// What the directory says of a member.
struct Entry {
  std::string name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t checksum = 0;
  std::uint64_t stored = 0, size = 0, offset = 0;
  std::uint64_t length = 0;  ///< of the entry itself
};

Entry read_entry(const Bytes& bytes, std::uint64_t at, const std::string& name) {
  if (bytes.at<std::uint32_t>(at) != entry_signature)
    fail("{}: its archive's list of members is damaged", name);
  Entry entry;
  entry.flags = bytes.at<std::uint16_t>(at + 8);
  entry.method = bytes.at<std::uint16_t>(at + 10);
  entry.checksum = bytes.at<std::uint32_t>(at + 16);
  entry.stored = bytes.at<std::uint32_t>(at + 20);
  entry.size = bytes.at<std::uint32_t>(at + 24);
  entry.offset = bytes.at<std::uint32_t>(at + 42);
  const std::uint64_t name_length = bytes.at<std::uint16_t>(at + 28),
                      extra_length = bytes.at<std::uint16_t>(at + 30),
                      comment_length = bytes.at<std::uint16_t>(at + 32);
  entry.name = bytes.text(at + entry_header, name_length);
  entry.length = entry_header + name_length + extra_length + comment_length;
  const Bytes extra(bytes.part(at + entry_header + name_length, extra_length), name);
  for (std::uint64_t field = 0; field + 4 <= extra.size();) {
    const auto id = extra.at<std::uint16_t>(field), length = extra.at<std::uint16_t>(field + 2);
    std::uint64_t value = field + 4;
    field = value + length;
    if (id != 1) continue;  // 1: the numbers that need 64 bits, in this order
    for (std::uint64_t* number : {&entry.size, &entry.stored, &entry.offset}) {
      if (*number != in_extra_field) continue;
      *number = extra.at<std::uint64_t>(value);
      value += 8;
    }
  }
  return entry;
}

}  // namespace

bool is_zip(std::span<const std::byte> bytes) {
  std::uint32_t signature = 0;
  if (bytes.size() >= sizeof signature) std::memcpy(&signature, bytes.data(), sizeof signature);
  return signature == member_signature;
}

std::map<std::string, SharedBytes> stored_members(const SharedBytes& whole, const std::string& name) {
  const Bytes bytes(whole, name);
  const std::optional<Directory> directory = find_directory(bytes);
  if (!directory) fail("{}: truncated: its archive's list of members is missing", name);
  if (directory->entries > bytes.size() / entry_header) fail("{}: damaged: it has too many members", name);
  std::map<std::string, SharedBytes> members;
  std::uint64_t at = directory->offset, sum = 0;
  for (std::uint64_t i = 0; i < directory->entries; ++i) {
    const Entry entry = read_entry(bytes, at, name);
    at += entry.length;
    if ((entry.flags & 1) != 0) fail("{}: its member {} is encrypted", name, entry.name);
    if (entry.method != 0 || entry.stored != entry.size)
      fail("{}: its member {} is compressed; torch.save() does not compress: save the weights with it again",
           name, entry.name);
    bytes.part(entry.offset, member_header);
    if (bytes.at<std::uint32_t>(entry.offset) != member_signature)
      fail("{}: damaged: its member {} does not begin where it should", name, entry.name);
    const std::uint64_t begin = entry.offset + member_header + bytes.at<std::uint16_t>(entry.offset + 26) +
                                bytes.at<std::uint16_t>(entry.offset + 28);
    const std::span<const std::byte> content = bytes.part(begin, entry.size);
    sum += entry.size;
    if (sum > bytes.size()) fail("{}: damaged: its members overlap", name);
    const uLong checksum =
        content.empty() ? 0 : crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
    if (checksum != entry.checksum)
      fail("{}: altered: the checksum of its member {} does not match", name, entry.name);
    if (!members.emplace(entry.name, whole.part(begin, entry.size)).second)
      fail("{}: damaged: it has the member {} twice", name, entry.name);
  }
  return members;
}

}  // namespace convoy
