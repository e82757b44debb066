#include "src/io/npy.h"

#include <cstring>
#include <span>

#include "core/error.h"
#include "core/number.h"
#include "core/printable.h"

namespace convoy {
namespace {

constexpr std::size_t prelude = 8;  // "\x93NUMPY" and the version

template <class Integer>
Integer value_at(std::span<const std::byte> bytes, std::size_t offset) {
  Integer value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// What stands behind 'key': in the header, which is a dictionary of Python's, up to `end`.
std::string entry_of(const std::string& header, const std::string& key, char begin, char end) {
  const std::size_t at = header.find("'" + key + "'");
  const std::size_t from = at == std::string::npos ? at : header.find(begin, at + key.size() + 2);
  const std::size_t to = from == std::string::npos ? from : header.find(end, from + 1);
  return to == std::string::npos ? std::string() : header.substr(from + 1, to - from - 1);
}

std::vector<std::int64_t> shape_in(const std::string& text, const std::string& name) {
  std::vector<std::int64_t> shape;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string word = text.substr(begin, end - begin);
    std::erase(word, ' ');
    begin = end + 1;
    if (word.empty()) continue;
    const auto extent = integer_in<std::int64_t>(word, 0, INT32_MAX);
    if (!extent) fail("{}: has an axis of {} elements", name, printable(word.substr(0, 40)));
    shape.push_back(*extent);
  }
  return shape;
}

}  // namespace

std::int64_t NpyArray::count() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    if (__builtin_mul_overflow(product, extent, &product)) return INT64_MAX;
  }
  return product;
}

NpyArray read_npy(const SharedBytes& bytes, const std::string& name, bool whole) {
  if (bytes.size() < prelude + 4 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0)
    fail("{}: is no array of NumPy", name);
  const bool long_header = static_cast<int>(bytes.data()[6]) >= 2;
  const std::size_t begin = prelude + (long_header ? 4 : 2);
  const std::size_t length =
      long_header ? value_at<std::uint32_t>(bytes, prelude) : value_at<std::uint16_t>(bytes, prelude);
  constexpr std::size_t longest_header = 1 << 16;
  if (length > longest_header || length > bytes.size() - begin) fail("{}: its header is truncated", name);
  const std::string header(reinterpret_cast<const char*>(bytes.data()) + begin, length);

  NpyArray array;
  const std::string type = entry_of(header, "descr", '\'', '\'');
  if (type.size() < 3 || std::string("|<>=").find(type[0]) == std::string::npos)
    fail("{}: holds no plain numbers (its header says {})", name, printable(header.substr(0, 100)));
  array.type = type.substr(1);
  const auto size = integer_in<int>(array.type.substr(1), 1, 16);
  if (!size) fail("{}: holds no plain numbers (type {})", name, printable(type));
  if (type[0] == '>' && *size > 1)
    fail("{}: its numbers have the high byte first; save it again with .astype('{}')", name, array.type);
  if (entry_of(header, "fortran_order", ':', ',').find("True") != std::string::npos)
    fail("{}: its first axis is fastest (Fortran's order); save it again with numpy.ascontiguousarray", name);
  if (header.find("'shape'") == std::string::npos) fail("{}: its header has no shape", name);
  array.shape = shape_in(entry_of(header, "shape", '(', ')'), name);
  if (!whole) return array;

  const std::size_t got = bytes.size() - begin - length;
  const std::int64_t count = array.count();
  if (count > INT64_MAX / *size ||
      static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(*size) != got)
    fail("{}: has {} bytes of numbers, and its header says {} of {} bytes each", name, got, count, *size);
  array.values = bytes.part(begin + length, got);
  return array;
}

std::vector<std::int64_t> integers_of(const NpyArray& array, const std::string& name) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(array.count()));
  const auto read = [&]<class Integer>(Integer) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Integer value = value_at<Integer>(array.values, i * sizeof(Integer));
      values[i] = static_cast<std::int64_t>(value);
      if (std::is_unsigned_v<Integer> && values[i] < 0) fail("{}: has the value {}", name, value);
    }
  };
  if (array.type == "u1")
    read(std::uint8_t{});
  else if (array.type == "u2")
    read(std::uint16_t{});
  else if (array.type == "u4")
    read(std::uint32_t{});
  else if (array.type == "u8")
    read(std::uint64_t{});
  else if (array.type == "i1" || array.type == "b1")
    read(std::int8_t{});
  else if (array.type == "i2")
    read(std::int16_t{});
  else if (array.type == "i4")
    read(std::int32_t{});
  else if (array.type == "i8")
    read(std::int64_t{});
  else
    fail("{}: expected whole numbers, got the type {}", name, array.type);
  return values;
}

}  // namespace convoy
