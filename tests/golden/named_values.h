// Values that are a function of a name, as tests/golden/named_values.py makes them.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/op_case.h"

namespace convoy::testing {

/// splitmix64 (Steele, Lea and Flood, 2014) of the name's FNV-1a hash and an index.
class NamedBits {
 public:
  explicit NamedBits(const std::string& name) {
    for (const char c : name) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  std::uint64_t operator[](std::uint64_t index) const {
    std::uint64_t z = hash_ + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t hash_ = 0xCBF29CE484222325u;
};

/// In [-1, 1), multiples of 2^-19.
inline Values named_uniform(const std::string& name, std::int64_t count) {
  const NamedBits bits(name);
  Values values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<double>(bits[static_cast<std::uint64_t>(i)] >> 44) * 0x1p-19 - 1);
  return values;
}

/// Of a parameter or a running average in the order and shape that it has in files.
inline Values named_value(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::int64_t fan_in = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
  Values values = named_uniform(name, shape[0] * fan_in);
  const std::string last = name.substr(name.rfind('.') + 1);
  const bool around_one =
      last == "running_var" || last == "layer_scale" || (shape.size() == 1 && last == "weight");
  const double scale =
      last == "weight" ? std::exp2(std::nearbyint(0.5 * std::log2(6 / static_cast<double>(fan_in)))) : 0.125;
  for (double& value : values) value = around_one ? 1 + value / 4 : value * scale;
  return values;
}

}  // namespace convoy::testing
