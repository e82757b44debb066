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

/// The member's bytes as they are in the archive. Throws Error where it has none of them, or is encrypted.
SharedBytes content_of(const SharedBytes& whole, const Bytes& bytes, const Entry& entry,
                       const std::string& name) {
  if ((entry.flags & 1) != 0) fail("{}: its member {} is encrypted", name, entry.name);
  bytes.part(entry.offset, member_header);
  if (bytes.at<std::uint32_t>(entry.offset) != member_signature)
    fail("{}: damaged: its member {} does not begin where it should", name, entry.name);
  const std::uint64_t begin = entry.offset + member_header + bytes.at<std::uint16_t>(entry.offset + 26) +
                              bytes.at<std::uint16_t>(entry.offset + 28);
  bytes.part(begin, entry.stored);
  return whole.part(begin, entry.stored);
}

void check_content(const SharedBytes& content, const Entry& entry, const std::string& name) {
  const uLong checksum =
      content.empty() ? 0 : crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  if (checksum != entry.checksum)
    fail("{}: altered: the checksum of its member {} does not match", name, entry.name);
}

/// Takes a stream of zlib's apart, whatever becomes of it.
struct Inflater {
  Inflater() { began = inflateInit2(&stream, -MAX_WBITS) == Z_OK; }  // without a header of its own
  ~Inflater() {
    if (began) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream stream{};
  bool began = false;
};

/// The first `most` bytes of what was compressed, or all.
SharedBytes inflated(const SharedBytes& packed, const Entry& entry, std::uint64_t most,
                     const std::string& name) {
  constexpr std::size_t piece = std::size_t{1} << 20;
  const std::uint64_t wanted = std::min(entry.size, most);
  Inflater inflater;
  if (!inflater.began) fail("{}: no memory to unpack its member {}", name, entry.name);
  std::vector<std::byte> out;
  std::span<const std::byte> rest = packed;
  int status = Z_OK;
  while (out.size() < wanted && status != Z_STREAM_END) {
    const std::size_t begin = out.size();
    out.resize(static_cast<std::size_t>(std::min<std::uint64_t>(wanted, begin + piece)));
    inflater.stream.next_out = reinterpret_cast<Bytef*>(out.data() + begin);
    inflater.stream.avail_out = static_cast<uInt>(out.size() - begin);
    while (inflater.stream.avail_out > 0 && status != Z_STREAM_END) {
      if (inflater.stream.avail_in == 0) {
        const std::size_t now = std::min(rest.size(), piece);
        inflater.stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest.data()));  // only read
        inflater.stream.avail_in = static_cast<uInt>(now);
        rest = rest.subspan(now);
      }
      status = inflate(&inflater.stream, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END)
        fail("{}: damaged: its member {} cannot be unpacked", name, entry.name);
    }
    if (inflater.stream.avail_out > 0) break;
  }
  const std::uint64_t got = inflater.stream.total_out;
  if (got < wanted)
    fail("{}: damaged: its member {} has {} bytes instead of {}", name, entry.name, got, entry.size);
  return SharedBytes(std::move(out));
}

/// Calls `take` with every entry of the archive's list of members.
template <class Take>
void for_each_entry(const Bytes& bytes, const std::string& name, const Take& take) {
  const std::optional<Directory> directory = find_directory(bytes);
  if (!directory) fail("{}: truncated: its archive's list of members is missing", name);
  if (directory->entries > bytes.size() / entry_header) fail("{}: damaged: it has too many members", name);
  std::uint64_t at = directory->offset, sum = 0;
  for (std::uint64_t i = 0; i < directory->entries; ++i) {
    const Entry entry = read_entry(bytes, at, name);
    at += entry.length;
    sum += std::min(entry.stored, bytes.size());
    if (sum > bytes.size()) fail("{}: damaged: its members overlap", name);
    take(entry);
  }
}

}  // namespace

bool is_zip(std::span<const std::byte> bytes) {
  std::uint32_t signature = 0;
  if (bytes.size() >= sizeof signature) std::memcpy(&signature, bytes.data(), sizeof signature);
  return signature == member_signature;
}

std::map<std::string, SharedBytes> stored_members(const SharedBytes& whole, const std::string& name) {
  const Bytes bytes(whole, name);
  std::map<std::string, SharedBytes> members;
  for_each_entry(bytes, name, [&](const Entry& entry) {
    if (entry.method != 0 || entry.stored != entry.size)
      fail("{}: its member {} is compressed; torch.save() does not compress: save the weights with it again",
           name, entry.name);
    const SharedBytes content = content_of(whole, bytes, entry, name);
    check_content(content, entry, name);
    if (!members.emplace(entry.name, content).second)
      fail("{}: damaged: it has the member {} twice", name, entry.name);
  });
  return members;
}

std::map<std::string, SharedBytes> inflated_members(
    const SharedBytes& whole, const std::string& name,
    const std::function<std::uint64_t(const std::string& member)>& most) {
  constexpr std::uint16_t deflated = 8;
  const Bytes bytes(whole, name);
  std::map<std::string, SharedBytes> members;
  for_each_entry(bytes, name, [&](const Entry& entry) {
    SharedBytes content = content_of(whole, bytes, entry, name);
    if (entry.method == deflated)
      content = inflated(content, entry, most(entry.name), name);
    else if (entry.method != 0 || entry.stored != entry.size)
      fail("{}: its member {} is compressed in a way that only its maker knows (method {})", name, entry.name,
           entry.method);
    if (content.size() == entry.size) check_content(content, entry, name);
    if (!members.emplace(entry.name, content).second)
      fail("{}: damaged: it has the member {} twice", name, entry.name);
  });
  return members;
}

}  // namespace convoy
