#include "src/config/found_data.h"

#include "src/config/codec.h"

namespace convoy {
namespace {

/// At the line of the path, which it comes from.
void set(Value& data, const char* key, const std::string& text, const Mark& mark) {
  Value value = Value::scalar(text);
  value.mark = mark;
  if (Value* given = data.find(key))
    *given = std::move(value);
  else
    data.add(key, std::move(value));
}

FoundData found_at(const Value& path, const std::optional<std::string>& source, const FindData& find) {
  try {
    return find(path.text, source);
  } catch (const Error& error) {
    Place{path, "data.path"}.refuse("{}", error.what());
  }
}

}  // namespace

void fill_in_data(Value& root, const FindData& find, std::vector<std::string>& notes) {
  constexpr double share = 0.1;
  Value* data = root.find("data");
  if (data == nullptr || data->kind != Value::Kind::map) return;
  const Value* given = data->find("path");
  if (given == nullptr || given->kind != Value::Kind::scalar || given->text.empty()) return;
  const Value path = *given;  // the map will grow
  std::optional<std::string> source;
  if (const Value* word = data->find("source")) source = word->text;
  const bool validated = data->find("validation") != nullptr;
  if (source && validated) return;
  const FoundData found = found_at(path, source, find);
  std::vector<std::string> said;
  if (!source) {
    set(*data, "source", facts_of(found.source).name, path.mark);
    set(*data, "path", found.path, path.mark);
    said.push_back(fmt::format("recognised as source: {}", facts_of(found.source).name));
  }
  if (!validated && !found.sets_apart) {
    set(*data, "validation", fmt::format("{}", share), path.mark);
    said.push_back(
        fmt::format("a tenth of each class is for validation, since nothing is set apart there "
                    "(data.validation: {})",
                    share));
  }
  if (!said.empty()) notes.push_back(fmt::format("data.path: {}: {}", found.path, fmt::join(said, "; ")));
}

}  // namespace convoy
