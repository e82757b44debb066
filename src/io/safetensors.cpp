#include "src/io/safetensors.h"

#include <fmt/ranges.h>
#include <zlib.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "src/core/error.h"

namespace convoy {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, as is this code");

constexpr const char* empty_checksum = "00000000";
constexpr std::size_t length_bytes = 8;

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

DType dtype_from(const std::string& text, const std::string& name) {
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::u8}) {
    if (text == safetensors_name(type)) return type;
  }
  fail("{}: tensors of type {} are not read", name, text);
}

std::string checksum_of(const std::string& bytes) {
  uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  return fmt::format("{:08x}", crc);
}

/// Where the checksum's digits stand in the file, npos when it has none.
std::size_t checksum_position(const std::string& bytes, const std::string& digits, std::size_t header_end) {
  const std::string field = fmt::format("\"checksum\":\"{}\"", digits);
  const std::size_t at = bytes.substr(0, header_end).find(field);
  return at == std::string::npos ? at : at + field.size() - 1 - digits.size();
}

}  // namespace

std::string to_safetensors(const TensorFile& file) {
  nlohmann::ordered_json header;
  header["__metadata__"] = file.metadata;
  header["__metadata__"]["checksum"] = empty_checksum;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : file.tensors) {
    header[name] = {{"dtype", safetensors_name(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors begin aligned

  std::string out;
  out.reserve(length_bytes + text.size() + offset);
  const std::uint64_t length = text.size();
  out.append(reinterpret_cast<const char*>(&length), length_bytes);
  out += text;
  for (const auto& [name, tensor] : file.tensors) {
    out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  const std::string checksum = checksum_of(out);
  out.replace(checksum_position(out, empty_checksum, length_bytes + text.size()), checksum.size(), checksum);
  return out;
}

TensorFile from_safetensors(const std::string& bytes, const std::string& name) {
  std::uint64_t length = 0;
  if (bytes.size() >= length_bytes) std::memcpy(&length, bytes.data(), length_bytes);
  if (bytes.size() < length_bytes || length > bytes.size() - length_bytes) {
    fail("{}: truncated at byte {}, inside its header", name, bytes.size());
  }
  const std::size_t begin = length_bytes + length;
  TensorFile file;
  std::uint64_t held = 0;  // bytes of the tensors so far
  try {
    const auto header =
        nlohmann::json::parse(bytes.begin() + length_bytes, bytes.begin() + static_cast<long>(begin));
    for (const auto& [key, value] : header.items()) {
      if (key == "__metadata__") {
        file.metadata = value.get<std::map<std::string, std::string>>();
        continue;
      }
      FileTensor tensor;
      tensor.dtype = dtype_from(value.at("dtype").get<std::string>(), name);
      tensor.shape = value.at("shape").get<std::vector<std::int64_t>>();
      const auto [from, to] = value.at("data_offsets").get<std::pair<std::uint64_t, std::uint64_t>>();
      if (to > bytes.size() - begin)
        fail("{}: truncated at byte {}, inside tensor {}", name, bytes.size(), key);
      std::uint64_t expected = static_cast<std::uint64_t>(size_of(tensor.dtype));
      bool overflows = false;
      for (const std::int64_t dim : tensor.shape) {
        overflows |= dim < 0 || __builtin_mul_overflow(expected, static_cast<std::uint64_t>(dim), &expected);
      }
      if (from > to || overflows || expected != to - from) {
        fail("{}: tensor {} of shape [{}] does not fill bytes {} to {}", name, key,
             fmt::join(tensor.shape, ","), from, to);
      }
      held += to - from;  // tensors that share bytes could ask for any amount of memory
      if (held > bytes.size() - begin) fail("{}: tensor {} overlaps another", name, key);
      const auto* data = reinterpret_cast<const std::byte*>(bytes.data()) + begin;
      tensor.bytes.assign(data + from, data + to);
      file.tensors.emplace(key, std::move(tensor));
    }
  } catch (const nlohmann::json::exception& error) {
    fail("{}: not a safetensors file: {}", name, error.what());
  }
  if (const auto checksum = file.metadata.find("checksum"); checksum != file.metadata.end()) {
    std::string copy = bytes;
    const std::size_t at = checksum_position(bytes, checksum->second, begin);
    if (at == std::string::npos) fail("{}: its checksum cannot be located", name);
    copy.replace(at, checksum->second.size(), empty_checksum);
    if (checksum_of(copy) != checksum->second) fail("{}: altered: its checksum does not match", name);
    file.metadata.erase(checksum);
    file.is_verified = true;
  }
  return file;
}

}  // namespace convoy
