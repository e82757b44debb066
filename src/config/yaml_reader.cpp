// From YAML text to Value. yaml-cpp does the syntax; what it lets pass (several documents, cycles through
// aliases, binary files) is refused here.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "src/config/value.h"

namespace convoy {
namespace {

constexpr std::size_t longest_text = 1 << 20;

/// How much a value holds, itself included.
struct Extent {
  std::size_t values = 1, characters = 0, depth = 1;
};

// Aliases of aliases grow without bound.
constexpr Extent largest{.values = 20'000, .characters = 1 << 20, .depth = 64};

Extent extent(const Value& value) {
  Extent whole{.characters = value.text.size()};
  for (const std::string& key : value.keys) whole.characters += key.size();
  for (const Value& item : value.items) {
    const Extent part = extent(item);
    whole.values += part.values;
    whole.characters += part.characters;
    whole.depth = std::max(whole.depth, part.depth + 1);
  }
  return whole;
}

/// Builds a Value from what the parser reports. yaml-cpp's own nodes are done without: on some texts that are
/// no YAML its loader repeats an empty document until memory ends (github.com/jbeder/yaml-cpp/pull/1319), and
/// they show an alias at the line of what it stands for.
class Builder : public YAML::EventHandler {
 public:
  Builder(const std::string& source, bool numbered)
      : source_(std::make_shared<const std::string>(source)), numbered_(numbered) {}

  Mark mark(const YAML::Mark& at) const { return {source_, numbered_ && at.line >= 0 ? at.line + 1 : 0}; }

  /// What was read; without a document a null of no line.
  Value take() {
    if (!begun_) root_.mark = mark(YAML::Mark::null_mark());
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark& at) override {
    if (begun_) {
      fail_usage("{}: a second YAML document, or text after the first; a configuration is one document",
                 mark(at).text());
    }
    begun_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& at, YAML::anchor_t anchor) override { put(mark(at), Value(), anchor); }

  void OnScalar(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    put(mark(at), Value::scalar(text, tag == "!"), anchor);
  }

  void OnAlias(const YAML::Mark& at, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end())
      fail_usage("{}: this alias is inside the value that it refers to", mark(at).text());
    put(mark(at), found->second, 0);
  }

  void OnSequenceStart(const YAML::Mark& at, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(mark(at), Value::list({}), anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& at, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(mark(at), Value::map(), anchor);
  }
  void OnMapEnd() override { end(); }

 private:
  /// A list or map whose end is still to come.
  struct Open {
    Value value;
    YAML::anchor_t anchor;
    std::optional<std::string> key;  ///< map: what the next value belongs to
    Mark line;                       ///< of `key`
  };

  /// The key's line stands for its value: that is where an alias or a block below it is used.
  Mark mark_of_next(const Mark& at) const {
    return !open_.empty() && open_.back().key ? open_.back().line : at;
  }

  void begin(const Mark& at, Value value, YAML::anchor_t anchor) {
    count(Extent{}, at);
    value.mark = mark_of_next(at);
    open_.push_back({std::move(value), anchor, std::nullopt, {}});
  }

  void end() {
    Open last = std::move(open_.back());
    open_.pop_back();
    place(std::move(last.value), last.anchor);
  }

  /// A value that is complete: a scalar, nothing, or a copy of what an alias stands for.
  void put(const Mark& at, Value value, YAML::anchor_t anchor) {
    count(extent(value), at);
    value.mark = mark_of_next(at);
    place(std::move(value), anchor);
  }

  void place(Value value, YAML::anchor_t anchor) {
    if (anchor != 0) {
      count(extent(value), value.mark);  // the copy that aliases will be made from
      anchored_[anchor] = value;
    }
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& parent = open_.back(); parent.value.kind == Value::Kind::list) {
      parent.value.items.push_back(std::move(value));
    } else if (parent.key) {
      parent.value.add(*std::move(parent.key), std::move(value));
      parent.key.reset();
    } else {
      if (value.kind != Value::Kind::scalar) fail_usage("{}: a key must be a word", value.mark.text());
      if (value.text.find("\u00a0") != std::string::npos)
        fail_usage("{}: {} has a no-break space (U+00A0); replace it by a plain space", value.mark.text(),
                   quote(value.text, 60));
      parent.key = std::move(value.text);
      parent.line = value.mark;
    }
  }

  void count(const Extent& more, const Mark& at) {
    so_far_.values += more.values;
    so_far_.characters += more.characters;
    if (open_.size() + more.depth > largest.depth)
      fail_usage("{}: nested more than {} deep", at.text(), largest.depth);
    if (so_far_.values > largest.values) fail_usage("{}: more than {} values", at.text(), largest.values);
    if (so_far_.characters > largest.characters)
      fail_usage("{}: more than {} characters", at.text(), largest.characters);
  }

  std::shared_ptr<const std::string> source_;
  bool numbered_, begun_ = false;
  Value root_;
  std::vector<Open> open_;  ///< from the outermost
  std::map<YAML::anchor_t, Value> anchored_;
  Extent so_far_{.values = 0};  ///< what aliases repeat included
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

/// Line `line` of `text`, counted from 0; empty where there is none.
std::string_view line_of(std::string_view text, int line) {
  for (; line > 0; --line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return line < 0 ? std::string_view() : text.substr(0, text.find('\n'));
}

/// What people most often do wrong in YAML, looked for where the parser gave up and on the line before,
/// which it often means.
std::string likely_mistake(std::string_view text, const YAML::Exception& error) {
  const int line = error.mark.line;
  for (const int at : {line - 1, line}) {
    const std::string_view words = line_of(text, at);
    const std::size_t begin = words.find_first_not_of(" \t");
    if (begin == std::string_view::npos || words[begin] == '#') continue;
    if (words.substr(0, begin).find('\t') != std::string_view::npos)
      return fmt::format("; line {} begins with a tab: indent with spaces", at + 1);
    const std::size_t end = words.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", begin);
    if (end == begin || end == std::string_view::npos) continue;
    if (words[end] == ':' && end + 1 < words.size() &&
        std::string_view(" \t\r").find(words[end + 1]) == std::string_view::npos)
      return fmt::format("; line {} needs a space after the colon: {}: ...", at + 1,
                         words.substr(begin, end - begin));
    if (words[end] == ' ' && words.find(':') == std::string_view::npos)
      return fmt::format("; line {} has no colon: {}: ...", at + 1, words.substr(begin, end - begin));
  }
  return error.msg == std::string_view("end of map not found") ? "; indent all keys of a section alike" : "";
}

}  // namespace

Value parse_yaml(const std::string& text, const std::string& source, bool numbered) {
  if (text.size() > longest_text)
    fail_usage("{}: {} bytes are too many for a configuration; is this another file?", source, text.size());
  if (!is_text(text)) fail_usage("{}: not a text file; expected YAML in UTF-8", source);
  Builder builder(source, numbered);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.take();
  } catch (const YAML::Exception& error) {
    fail_usage("{}: not valid YAML: {}{}", builder.mark(error.mark).text(), error.msg,
               numbered ? likely_mistake(text, error)
               : error.msg.find("flow not found") != std::string::npos
                   ? "; a value with spaces needs quotes in the shell: 'model.input=[3, 64, 64]'"
                   : "");
  }
}

}  // namespace convoy
