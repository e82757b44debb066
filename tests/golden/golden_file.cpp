#include "tests/golden/golden_file.h"

#include <fstream>
#include <iterator>

#include "src/io/safetensors.h"
#include "tests/source_dir.h"

namespace convoy::testing {
namespace {

template <class T>
const T& find(const std::map<std::string, T>& map, const std::string& name) {
  const auto it = map.find(name);
  if (it == map.end()) fail("golden file: no {}", name);
  return it->second;
}

}  // namespace

const nlohmann::json& GoldenFile::attributes(const std::string& name) const {
  return find(cases, name);
}
const Values& GoldenFile::at(const std::string& name) const {
  return find(tensors, name);
}
const std::vector<std::int64_t>& GoldenFile::shape(const std::string& name) const {
  return find(shapes, name);
}

GoldenFile read_golden(const std::string& name) {
  const std::string path = std::string(CONVOY_SOURCE_DIR) + "/tests/golden/" + name;
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  const TensorFile stored = from_safetensors(bytes, path);
  GoldenFile file;
  for (const auto& golden : nlohmann::json::parse(stored.metadata.at("cases"))) {
    file.cases[golden.at("name")] = golden;
  }
  for (const auto& [key, tensor] : stored.tensors) {
    const auto count = static_cast<std::int64_t>(tensor.bytes.size()) / size_of(tensor.dtype);
    file.tensors[key] = decode(tensor.dtype, tensor.bytes.data(), count);
    file.shapes[key] = tensor.shape;
  }
  return file;
}

}  // namespace convoy::testing
