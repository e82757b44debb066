#include "src/io/safetensors.h"

#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/ceil_div.h"
#include "core/error.h"
#include "core/thread_pool.h"
#include "src/io/atomic_file.h"
#include "src/io/foreign_file.h"
#include "src/io/json_reader.h"

namespace convoy {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, as is this code");

constexpr const char* empty_checksum = "00000000";
constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t longest_header = 100'000'000;  // as the format's own library

const char* safetensors_name(DType type) {
  switch (type) {
    case DType::f32:
      return "F32";
    case DType::f64:
      return "F64";
    case DType::f16:
      return "F16";
    case DType::bf16:
      return "BF16";
    case DType::i32:
      return "I32";
    case DType::u8:
      return "U8";
  }
  return "?";
}

std::optional<DType> dtype_from(const std::string& text) {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::u8}) {
    if (text == safetensors_name(type)) return type;
  }
  return std::nullopt;
}

/// Bytes of a value of a type that the format knows and this program does not.
std::uint64_t foreign_size(const std::string& text, const std::string& name) {
  static const std::map<std::string, std::uint64_t> sizes = {{"I64", 8}, {"U64", 8}, {"U32", 4}, {"I16", 2},
                                                             {"U16", 2}, {"I8", 1},  {"BOOL", 1}};
  const auto it = sizes.find(text);
  if (it == sizes.end()) fail("{}: tensors of type {} are not read", name, text);
  return it->second;
}

/// CRC-32 of `bytes` behind others of checksum `before`.
uLong extend_checksum(uLong before, std::span<const std::byte> bytes) {
  if (bytes.empty()) return before;  // of no address zlib makes the checksum of nothing
  return crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

/// The same by all cores.
uLong extend_checksum_together(uLong before, std::span<const std::byte> bytes) {
  constexpr std::size_t piece = 1 << 20;
  std::vector<uLong> sums(ceil_div(bytes.size(), piece));
  const auto piece_at = [&](std::size_t i) {
    return bytes.subspan(i * piece, std::min(piece, bytes.size() - i * piece));
  };
  ThreadPool(default_threads()).for_each(std::ssize(sums), [&](std::int64_t turn) {
    const auto i = static_cast<std::size_t>(turn);
    sums[i] = extend_checksum(0, piece_at(i));
  });
  for (std::size_t i = 0; i < sums.size(); ++i)
    before = crc32_combine(before, sums[i], static_cast<z_off_t>(piece_at(i).size()));
  return before;
}

std::string digits_of(uLong checksum) {
  return fmt::format("{:08x}", checksum);
}

/// Where the checksum's digits stand in what begins with the header, npos when it has none.
std::size_t checksum_position(std::string_view header, const std::string& digits) {
  const std::string field = fmt::format("\"checksum\":\"{}\"", digits);
  const std::size_t at = header.find(field);
  return at == std::string_view::npos ? at : at + field.size() - 1 - digits.size();
}

std::uint64_t bytes_of(const TensorEntry& entry) {
  std::uint64_t bytes = static_cast<std::uint64_t>(size_of(entry.dtype));
  for (const std::int64_t dim : entry.shape) bytes *= static_cast<std::uint64_t>(dim);
  return bytes;
}

/// The length and the JSON, with zeros for the checksum.
std::string make_header(const std::vector<TensorEntry>& entries,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  header["__metadata__"]["checksum"] = empty_checksum;
  std::uint64_t offset = 0;
  for (const TensorEntry& entry : entries) {
    const std::uint64_t end = offset + bytes_of(entry);
    header[entry.name] = {
        {"dtype", safetensors_name(entry.dtype)}, {"shape", entry.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors begin aligned
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), length_bytes) + text;
}

using Values = std::function<std::span<const std::byte>(std::size_t entry)>;

/// Hands the file to put(bytes), piece by piece, and last the checksum to put_at(offset, bytes).
template <class Put, class PutAt>
void serialise(const std::vector<TensorEntry>& entries, const std::map<std::string, std::string>& metadata,
               const Values& values_of, Put put, PutAt put_at) {
  const std::string header = make_header(entries, metadata);
  uLong checksum = extend_checksum(0, std::as_bytes(std::span(header)));
  put(std::as_bytes(std::span(header)));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::span<const std::byte> values = values_of(i);
    check(values.size() == bytes_of(entries[i]), "as many values as the tensor's shape says");
    checksum = extend_checksum(checksum, values);
    put(values);
  }
  const std::string digits = digits_of(checksum);
  put_at(checksum_position(header, empty_checksum), std::as_bytes(std::span(digits)));
}

using ByteRange = std::pair<std::uint64_t, std::uint64_t>;

/// The numbers of an array. Others than integers, such as one too large for any, are refused: what they
/// become as an integer is not defined.
template <class Integer>
std::vector<Integer> integers_in(const nlohmann::json& array, const std::string& name) {
  std::vector<Integer> integers;
  for (const nlohmann::json& number : array) {
    if (!number.is_number_integer()) fail("{}: not a safetensors file: {} is no size", name, number.dump());
    integers.push_back(number.get<Integer>());
  }
  return integers;
}

/// Tensors, sorted, fill the rest of the file without gaps, and none shares its bytes with another.
void check_ranges(const std::vector<std::pair<ByteRange, FileTensor*>>& ranges, std::uint64_t bytes,
                  const std::string& name) {
  std::uint64_t end = 0;
  for (const auto& [range, tensor] : ranges) {
    if (range.first != end)
      fail("{}: its tensors overlap or leave gaps at byte {} of their values", name, end);
    end = range.second;
  }
  if (end != bytes) fail("{}: {} bytes behind its last tensor", name, bytes - end);
}

/// The checksum that the file should carry: with zeros for its own digits, which stand at `at`.
std::string expected_checksum(std::span<const std::byte> bytes, std::size_t at) {
  const std::string zeros = empty_checksum;
  uLong checksum = extend_checksum(0, bytes.first(at));
  checksum = extend_checksum(checksum, std::as_bytes(std::span(zeros)));
  return digits_of(extend_checksum_together(checksum, bytes.subspan(at + zeros.size())));
}

/// Itself where its address suits the type, else a copy.
SharedBytes aligned(SharedBytes bytes, DType type) {
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (address % static_cast<std::uintptr_t>(size_of(type)) == 0) return bytes;
  return std::vector<std::byte>(bytes.data(), bytes.data() + bytes.size());
}

/// Of the header that a file of `size` bytes announces; `first` are its first bytes, 4096 or all of them.
std::uint64_t header_length(std::span<const std::byte> first, std::uint64_t size, const std::string& name) {
  std::uint64_t length = 0;
  if (size >= length_bytes) std::memcpy(&length, first.data(), length_bytes);
  if (size > length_bytes && first[length_bytes] != std::byte{'{'})
    fail("{}: not a safetensors file{}", name, foreign_kind(first, name));
  if (size < length_bytes || length > size - length_bytes) {
    fail("{}: truncated at byte {}, inside its header", name, size);
  }
  if (length > longest_header) fail("{}: its header of {} bytes is too long", name, length);
  return length;
}

/// What a header says of a file of `size` bytes, which its tensors fill.
struct Header {
  TensorFile file;                                        ///< the wanted tensors, without their bytes
  std::vector<std::pair<ByteRange, FileTensor*>> ranges;  ///< of all, ascending; null: not wanted
};
Header read_header(std::string_view head, std::uint64_t size, const std::string& name,
                   const WantedTensors& wanted) {
  const std::uint64_t begin = head.size();
  Header result;
  auto& [file, ranges] = result;
  try {
    const auto header = read_json(head.substr(length_bytes), fmt::format("{}: its header", name), 3);
    for (const auto& [key, value] : header.items()) {
      if (key == "__metadata__") {
        file.metadata = value.get<std::map<std::string, std::string>>();
        continue;
      }
      const auto type = value.at("dtype").get<std::string>();
      const std::optional<DType> known = dtype_from(type);
      FileTensor tensor;
      tensor.shape = integers_in<std::int64_t>(value.at("shape"), name);
      const auto offsets = integers_in<std::uint64_t>(value.at("data_offsets"), name);
      if (offsets.size() != 2) fail("{}: not a safetensors file: tensor {} has no two offsets", name, key);
      const std::uint64_t from = offsets[0], to = offsets[1];
      if (to > size - begin) fail("{}: truncated at byte {}, inside tensor {}", name, size, key);
      std::uint64_t expected = known ? static_cast<std::uint64_t>(size_of(*known)) : foreign_size(type, name);
      bool overflows = false;
      for (const std::int64_t dim : tensor.shape) {
        overflows |= dim < 0 || __builtin_mul_overflow(expected, static_cast<std::uint64_t>(dim), &expected);
      }
      if (from > to || overflows || expected != to - from) {
        fail("{}: tensor {} of shape [{}] does not fill bytes {} to {}", name, key,
             fmt::join(tensor.shape, ","), from, to);
      }
      FileTensor* kept = nullptr;
      if (known && (!wanted || wanted(key))) {
        tensor.dtype = *known;
        kept = &(file.tensors[key] = std::move(tensor));
      } else if (!known) {
        file.left_out[key] = type;
      }
      ranges.emplace_back(ByteRange(from, to), kept);
    }
  } catch (const nlohmann::json::exception& error) {  // which quotes what it read
    fail("{}: not a safetensors file: {}", name, std::string(error.what()).substr(0, 200));
  }
  std::sort(ranges.begin(), ranges.end());
  check_ranges(ranges, size - begin, name);
  return result;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorEntry>& entries,
                       const std::map<std::string, std::string>& metadata, const Values& values_of) {
  AtomicFile file(path);
  serialise(
      entries, metadata, values_of, [&](std::span<const std::byte> bytes) { file.write(bytes); },
      [&](std::size_t offset, std::span<const std::byte> bytes) { file.overwrite(offset, bytes); });
  file.commit();
}

std::string to_safetensors(const TensorFile& file) {
  std::vector<TensorEntry> entries;
  std::vector<const FileTensor*> tensors;
  for (const auto& [name, tensor] : file.tensors) {
    entries.push_back({name, tensor.dtype, tensor.shape});
    tensors.push_back(&tensor);
  }
  std::string out;
  serialise(
      entries, file.metadata, [&](std::size_t i) { return tensors[i]->bytes; },
      [&](std::span<const std::byte> bytes) {
        out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      },
      [&](std::size_t offset, std::span<const std::byte> bytes) {
        std::memcpy(out.data() + offset, bytes.data(), bytes.size());
      });
  return out;
}

SharedBytes safetensors_in(const std::filesystem::path& path) {
  if (is_shell_pipe(path)) return read_named_file(path);
  const std::string name = path.string();
  const RegularFile file(path);
  std::string head(std::min<std::uint64_t>(file.size(), 4096), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(head)));
  head.resize(length_bytes + header_length(std::as_bytes(std::span(head)), file.size(), name));
  file.read_at(0, std::as_writable_bytes(std::span(head)));
  read_header(head, file.size(), name, {});
  return read_shared(file);
}

TensorFile from_safetensors(const SharedBytes& bytes, const std::string& name, const WantedTensors& wanted) {
  const std::size_t begin = length_bytes + header_length(bytes, bytes.size(), name);
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), begin);
  Header header = read_header(head, bytes.size(), name, wanted);
  TensorFile& file = header.file;
  if (const auto checksum = file.metadata.find("checksum"); checksum != file.metadata.end()) {
    const std::size_t at = checksum_position(head, checksum->second);
    if (at == std::string::npos || checksum->second.size() != std::strlen(empty_checksum))
      fail("{}: its checksum cannot be located", name);
    if (expected_checksum(bytes, at) != checksum->second)
      fail("{}: altered: its checksum does not match", name);
    file.metadata.erase(checksum);
    file.is_verified = true;
  }
  for (const auto& [range, tensor] : header.ranges) {
    if (tensor != nullptr)
      tensor->bytes = aligned(bytes.part(begin + range.first, range.second - range.first), tensor->dtype);
  }
  return std::move(header.file);
}

std::span<const float> floats_in(const TensorFile& file, const std::string& tensor,
                                 const std::vector<std::int64_t>& shape) {
  const auto found = file.tensors.find(tensor);
  if (found == file.tensors.end())
    fail("the weights do not match this network: there is no tensor {}", tensor);
  const FileTensor& stored = found->second;
  if (stored.shape != shape || stored.dtype != DType::f32) {
    fail("tensor {} is {} of shape [{}], the model's is f32 of shape [{}]", tensor, name_of(stored.dtype),
         fmt::join(stored.shape, ","), fmt::join(shape, ","));
  }
  return {reinterpret_cast<const float*>(stored.bytes.data()), stored.bytes.size() / sizeof(float)};
}

}  // namespace convoy
