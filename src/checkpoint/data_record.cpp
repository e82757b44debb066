#include "src/checkpoint/data_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/number.h"
#include "src/data/class_names.h"
#include "src/io/json_line.h"
#include "src/io/json_reader.h"

namespace convoy {
namespace {

constexpr const char *kind_key = "data_kind", *image_key = "data_image", *names_key = "class_names";

struct RecordedPart {
  const char* key;
  PartIdentity DataIdentity::*member;
};
constexpr RecordedPart parts[] = {{"data_train", &DataIdentity::train},
                                  {"data_validation", &DataIdentity::validation},
                                  {"data_test", &DataIdentity::test}};

/// "60000 0123456789abcdef", or "60000 -" where the contents are not known.
std::string to_text(const PartIdentity& part) {
  return fmt::format("{} {}", part.images, part.contents ? fmt::format("{:016x}", *part.contents) : "-");
}

std::optional<PartIdentity> part_in(std::string_view text) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto images = integer_in<std::int64_t>(text.substr(0, space), 0, most);
  if (!images) return std::nullopt;
  const std::string_view digits = text.substr(space + 1);
  if (digits == "-") return PartIdentity{*images, {}};
  std::uint64_t contents = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), contents, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return PartIdentity{*images, contents};
}

std::vector<std::string> parse_names(const std::string& json) {
  return read_json(json, "class_names", /*deepest=*/1).get<std::vector<std::string>>();
}

}  // namespace

void record_data(const DataIdentity& identity, std::map<std::string, std::string>& metadata) {
  metadata[kind_key] = identity.kind;
  if (!identity.image.empty()) metadata[image_key] = identity.image;
  for (const RecordedPart& part : parts) metadata[part.key] = to_text(identity.*part.member);
}

std::optional<DataIdentity> data_in(const TensorFile& file, const std::string& name) {
  // What it may be is short, and stands in messages.
  const auto text = [&](const char* key) {
    constexpr std::size_t longest = 100;
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) return std::string();
    if (found->second.size() > longest)
      fail("{}: its {} has {} characters, more than {}", name, key, found->second.size(), longest);
    return found->second;
  };
  DataIdentity identity;
  identity.kind = text(kind_key);
  if (identity.kind.empty()) return std::nullopt;
  identity.image = text(image_key);
  identity.class_names = class_names_in(file, name);
  for (const RecordedPart& part : parts) {
    const std::optional<PartIdentity> read = part_in(text(part.key));
    if (!read)
      fail("{}: its {} is \"{}\", no number of images and hash", name, part.key,
           text(part.key).substr(0, 60));
    identity.*part.member = *read;
  }
  return identity;
}

std::vector<std::string> class_names_in(const TensorFile& file, const std::string& name) {
  const auto stored = file.metadata.find(names_key);
  if (stored == file.metadata.end()) return {};
  try {
    return parse_names(stored->second);
  } catch (const std::exception&) {
    fail("{}: its class_names are no list of names", name);
  }
}

void record_class_names(const std::vector<std::string>& names, std::map<std::string, std::string>& metadata) {
  if (!names.empty()) metadata[names_key] = to_json_line(nlohmann::json(names));
}

std::vector<std::string> as_recorded(const std::vector<std::string>& names) {
  return parse_names(to_json_line(nlohmann::json(names)));
}

void require_same_classes(const std::vector<std::string>& trained, const std::vector<std::string>& data,
                          const std::string& name) {
  std::vector<std::string> here = as_recorded(data), there = trained;
  there.resize(std::min(there.size(), here.size()));
  const std::string text = class_difference(there, here);
  if (text.empty()) return;
  fail(
      "{}: was trained for other classes than the data has: {}; rename the folders of the data, or give the "
      "data of this run",
      name, text);
}

std::string other_data(const TensorFile& file, const std::string& name, DataIdentity here) {
  here.class_names = as_recorded(here.class_names);
  if (const std::optional<DataIdentity> there = data_in(file, name)) return difference(*there, here);
  return class_difference(class_names_in(file, name), here.class_names);
}

}  // namespace convoy
