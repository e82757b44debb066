// Initial values: each element is a function of (seed, parameter name, element index).
#include <cmath>
#include <numbers>

#include "core/random.h"
#include "src/model/graph.h"

namespace convoy {
namespace {

/// FNV-1a (Fowler, Noll, Vo), so that a parameter keeps its values when layers around it change.
std::uint32_t name_hash(const std::string& name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

/// Standard normal by Box & Muller, 1958.
double normal(const Random4& r) {
  const double u = (r.v[0] + 0.5) / 4294967296.0, v = (r.v[1] + 0.5) / 4294967296.0;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

/// Identity: filter i of a group passes the group's channel i through its centre tap.
void fill_dirac(const Parameter& parameter, std::vector<float>& out) {
  const auto& d = parameter.dims;  // K,T,R,S,C/G
  const std::int64_t filters = d[0] / parameter.groups;
  for (std::int64_t k = 0; k < d[0]; ++k) {
    const std::int64_t channel = k % filters;
    if (channel >= d[4]) continue;
    out[static_cast<std::size_t>((((k * d[1] + d[1] / 2) * d[2] + d[2] / 2) * d[3] + d[3] / 2) * d[4] +
                                 channel)] = 1.0f;
  }
}

}  // namespace

std::vector<float> initial_value(const Parameter& parameter, std::uint64_t seed) {
  std::vector<float> out(static_cast<std::size_t>(parameter.count()), parameter.init == Init::ones ? 1.0f
                                                                      : parameter.init == Init::constant
                                                                          ? parameter.constant
                                                                          : 0.0f);
  const std::uint32_t stream = name_hash(parameter.name);
  const double fan_in = static_cast<double>(parameter.fan_in),
               fan_out = static_cast<double>(parameter.fan_out);
  const auto fill = [&](auto value) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(value(random4(seed, Purpose::initialize, stream, i)));
    }
  };
  const auto fill_uniform = [&](double bound) {
    fill([&](const Random4& r) { return bound * (2.0 * uniform01(r.v[0]) - 1.0); });
  };
  switch (parameter.init) {
    case Init::zeros:
    case Init::ones:
    case Init::constant:
      break;
    case Init::uniform_fan:
      fill_uniform(1.0 / std::sqrt(fan_in));
      break;
    case Init::glorot:
      fill_uniform(std::sqrt(6.0 / (fan_in + fan_out)));
      break;
    case Init::he:
      fill([&](const Random4& r) { return std::sqrt(2.0 / fan_in) * normal(r); });
      break;
    case Init::dirac:
      fill_dirac(parameter, out);
      break;
  }
  return out;
}

}  // namespace convoy
