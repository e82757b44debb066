// From YAML text to Value. yaml-cpp does the syntax; what it lets pass (several documents, cycles through
// aliases, binary files) is refused here.
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "src/config/value.h"

namespace convoy {
namespace {

constexpr int deepest = 64;
constexpr std::size_t longest_text = 1 << 20;
// Aliases of aliases grow without bound.
constexpr std::size_t most_values = 100'000, most_characters = 4 << 20;

class Reader {
 public:
  Reader(const std::string& source, bool numbered)
      : source_(std::make_shared<const std::string>(source)), numbered_(numbered) {}

  Mark mark(const YAML::Mark& at) const { return {source_, numbered_ && at.line >= 0 ? at.line + 1 : 0}; }

  Value read(const YAML::Node& node, const Mark& at, int depth) {
    if (depth > deepest) fail_usage("{}: nested more than {} deep", at.text(), deepest);
    if (++values_ > most_values) fail_usage("{}: more than {} values", at.text(), most_values);
    Value value;
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        break;
      case YAML::NodeType::Scalar:
        count_characters(node.Scalar(), at);
        value = Value::scalar(node.Scalar(), node.Tag() == "!");
        break;
      case YAML::NodeType::Sequence:
        value = Value::list({});
        for (const auto& item : node) value.items.push_back(read(item, mark(item.Mark()), depth + 1));
        break;
      case YAML::NodeType::Map:
        value = Value::map();
        for (const auto& entry : node) {
          const Mark line = mark(entry.first.Mark());
          if (!entry.first.IsScalar()) fail_usage("{}: a key must be a word", line.text());
          count_characters(entry.first.Scalar(), line);
          // The key's line stands for its value: that is where an alias or a block below it is used.
          value.add(entry.first.Scalar(), read(entry.second, line, depth + 1));
        }
        break;
    }
    value.mark = at;
    return value;
  }

 private:
  void count_characters(const std::string& text, const Mark& at) {
    characters_ += text.size();
    if (characters_ > most_characters) fail_usage("{}: more than {} characters", at.text(), most_characters);
  }

  std::shared_ptr<const std::string> source_;
  bool numbered_;
  std::size_t values_ = 0, characters_ = 0;  ///< read so far, what aliases repeat included
};

/// UTF-8 without control characters: what a checkpoint, which holds the configuration, can store.
bool is_text(const std::string& text) {
  int following = 0;  // bytes that the character begun still needs
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continues = (byte & 0xc0) == 0x80;
    if (continues != (following > 0)) return false;
    if (continues) {
      --following;
    } else if (byte >= 0x80) {
      if (byte < 0xc2 || byte > 0xf4) return false;
      following = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    } else if (byte == 0x7f || (byte < 0x20 && c != '\n' && c != '\r' && c != '\t')) {
      return false;
    }
  }
  return following == 0;
}

}  // namespace

Value parse_yaml(const std::string& text, const std::string& source, bool numbered) {
  if (text.size() > longest_text)
    fail_usage("{}: too long for a configuration ({} bytes)", source, text.size());
  if (!is_text(text)) fail_usage("{}: not a text file; expected YAML in UTF-8", source);
  Reader reader(source, numbered);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      fail_usage("{}: {} YAML documents; expected one", reader.mark(documents[1].Mark()).text(),
                 documents.size());
    }
    if (documents.empty()) {
      Value nothing;
      nothing.mark = reader.mark(YAML::Mark::null_mark());
      return nothing;
    }
    return reader.read(documents[0], reader.mark(documents[0].Mark()), 0);
  } catch (const YAML::Exception& error) {
    fail_usage("{}: not valid YAML: {}", reader.mark(error.mark).text(), error.msg);
  }
}

void apply_override(Value& root, const std::string& assignment) {
  const std::string where = "command line: " + assignment;
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail_usage("{}: expected key=value, e.g. train.epochs=5", where);
  }
  const std::string path = assignment.substr(0, equals);
  Value* at = &root;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, end - begin);
    if (key.empty()) fail_usage("{}: empty key in {}", where, quote(path));
    if (at->kind == Value::Kind::null) at->kind = Value::Kind::map;
    if (at->kind != Value::Kind::map) {
      fail_usage("{}: {} is {} and has no keys; give the whole of it", where,
                 begin == 0 ? "the configuration" : quote(path.substr(0, begin - 1)), describe(*at));
    }
    auto found = std::find(at->keys.begin(), at->keys.end(), key);
    if (found == at->keys.end()) {
      Value section = Value::map();
      section.mark.source = std::make_shared<const std::string>(where);
      at->add(key, std::move(section));
      found = at->keys.end() - 1;
    }
    at = &at->items[static_cast<std::size_t>(found - at->keys.begin())];
    begin = end + 1;
  }
  *at = parse_yaml(assignment.substr(equals + 1), where, false);
}

}  // namespace convoy
