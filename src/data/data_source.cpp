#include "src/data/data_source.h"

#include <fmt/format.h>

#include <utility>

#include "src/data/reading.h"

namespace convoy {
namespace {

/// Whether a share of the training images is validated on, and the test part is measured on at the end.
bool keeps_test(const DataConfig& config) {
  return config.validation_fraction > 0 && config.test == DataConfig::Test::automatic;
}

}  // namespace

SourceInfo ResidentSource::info(const DataConfig& config) const {
  const SetSizes of = sizes(config);
  const bool validates_on_test = config.validation_fraction == 0;
  return {of.image, of.classes, of.train, validates_on_test ? of.test : 0, keeps_test(config) ? of.test : 0};
}

Dataset ResidentSource::load(const DataConfig& config, std::uint64_t seed) const {
  const bool split = config.validation_fraction > 0;
  Dataset data = read(config, seed, !split || keeps_test(config));
  data.class_names = class_names();
  data.validation_is_test = !split;
  if (split) {
    data.test = std::exchange(data.validation, {});
    split_off_validation(data, config, seed);
  }
  return data;
}

Verification ResidentSource::verify(const DataConfig& config, int) const {
  Verification result;
  result.images = std::ssize(load(config, 1).labels);  // or an Error
  return result;
}

std::string ResidentSource::fetch_hint(const std::string& folder) const {
  if (published().files.empty()) return {};
  return fmt::format(" (`convoy data fetch {} --output {}` gets them)", name(), folder);
}

const DataSource& data_source(Source source) {
#define CONVOY_SET(id, name, kind, help) sets::id,
  constexpr const DataSource& (*table[])() = {CONVOY_DATA_SETS(CONVOY_SET)};
#undef CONVOY_SET
  return table[static_cast<std::size_t>(source)]();
}

SourceInfo source_info(const DataConfig& config) {
  return data_source(config.source).info(config);
}

std::vector<std::string> published_names() {
  std::vector<std::string> names;
  for (const SourceFacts& facts : source_list)
    if (!data_source(facts.source).published().files.empty()) names.emplace_back(facts.name);
  return names;
}

}  // namespace convoy
