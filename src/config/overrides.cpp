#include "src/config/overrides.h"

#include <charconv>

#include "src/config/help.h"
#include "src/config/schema.h"

namespace convoy {
namespace {

/// A key, or the number of a list's entry.
struct Step {
  std::string text;
  std::string path;  ///< up to and with it, entries as [0]
  bool is_number() const {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  }
};

/// "model.layers[0].conv" as model, layers, 0, conv.
std::vector<Step> steps_of(const std::string& path, const std::string& where) {
  std::vector<Step> steps;
  std::string so_far;
  const auto add = [&](const std::string& text, bool bracketed) {
    if (text.empty()) fail_usage("{}: empty key in {}", where, quote(path));
    Step step{text, ""};
    if (bracketed && !step.is_number())
      fail_usage("{}: expected the number of an entry in [], got {}", where, quote(text, 60));
    so_far +=
        step.is_number() && !steps.empty() ? fmt::format("[{}]", text) : (so_far.empty() ? "" : ".") + text;
    step.path = so_far;
    steps.push_back(std::move(step));
  };
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    std::string key = path.substr(begin, end - begin);
    const std::size_t bracket = key.ends_with(']') ? key.find('[') : std::string::npos;
    add(key.substr(0, bracket), false);
    for (std::size_t at = bracket; at != std::string::npos && at < key.size();) {
      const std::size_t close = key.find(']', at);
      add(key.substr(at + 1, close - at - 1), true);
      at = close + 1;
      if (at < key.size() && key[at] != '[')
        fail_usage("{}: expected [ or . after ] in {}", where, quote(path));
    }
    begin = end + 1;
  }
  return steps;
}

/// The key that a plain value in the place of a section or of a layer's arguments stands for: "name" of
/// optimizer, "out" of linear. Empty: none.
std::string short_key(const Step& step) {
  for (const Field<Config>& field : config_table().fields)
    if (field.key == step.path) return field.short_key;
  if (!step.path.ends_with("]." + step.text)) return "";
  for (const auto& kind : layer_kinds())
    if (kind.name == step.text) return kind.table.short_key;
  for (const auto& kind : augment_kinds())
    if (kind.name == step.text) return kind.table.short_key;
  return "";
}

/// Follows a path through the document.
class Walk {
 public:
  /// `adds`: keys that are missing are made.
  Walk(Value& root, std::string where, bool adds) : at_(&root), where_(std::move(where)), adds_(adds) {}

  /// Null once the path leads to what there is not and is not to be made.
  Value* take(const Step& step) {
    if (at_ == nullptr) return nullptr;
    spell_out(step);
    if (at_->kind == Value::Kind::list)
      take_entry(step);
    else
      take_key(step);
    last_ = step;
    return at_;
  }
  Value* at() const { return at_; }

 private:
  bool is_entry() const { return last_.path.ends_with(']'); }  ///< whether a list holds at_

  /// Gives a value in short form the keys that it stands for, where `step` is to be one of them.
  void spell_out(const Step& step) {
    if (at_->kind == Value::Kind::null && adds_) at_->kind = Value::Kind::map;
    if (at_->kind == Value::Kind::map || at_->kind == Value::Kind::null) return;
    if (at_->kind == Value::Kind::list && step.is_number()) return;
    std::string key = is_entry() ? "" : short_key(last_);
    if (is_entry() && at_->kind == Value::Kind::scalar) {  // `- relu`: a layer without arguments
      if (at_->text != step.text && step.text != "name") refuse_kind(at_->text, step);
      key = at_->text;
    }
    if (key.empty()) return;
    Value map = Value::map();
    map.mark = at_->mark;
    Value inner = is_entry() ? Value::map() : *at_;
    if (is_entry()) inner.mark.source = std::make_shared<const std::string>(where_);
    map.add(key, std::move(inner));
    *at_ = std::move(map);
  }

  [[noreturn]] void refuse_kind(const std::string& kind, const Step& step) const {
    fail_usage("{}: {} is {}, not {}", where_, last_.path, quote(kind, 60), quote(step.text, 60));
  }

  void take_entry(const Step& step) {
    const std::size_t count = at_->items.size();
    std::size_t index = 0;
    const bool negative = step.text.size() > 1 && step.text[0] == '-' &&
                          step.text.find_first_not_of("0123456789", 1) == std::string::npos;
    if (!step.is_number() && !negative) {
      fail_usage("{}: {} is a list of {} entries; name one by its number from 0, e.g. {}[0].{}", where_,
                 last_.path, count, last_.path, step.text);
    }
    const auto [end, error] = std::from_chars(step.text.data(), step.text.data() + step.text.size(), index);
    if (error != std::errc{} || index >= count) {
      fail_usage("{}: {} has {} entries, counted from 0; there is no entry {}", where_, last_.path, count,
                 step.text.substr(0, 20));
    }
    at_ = &at_->items[index];
  }

  void take_key(const Step& step) {
    if (at_->kind == Value::Kind::null) {
      at_ = nullptr;
      return;
    }
    if (at_->kind != Value::Kind::map) {
      fail_usage("{}: {} is {} and has no keys; set it as a whole", where_,
                 last_.path.empty() ? "the configuration" : last_.path, describe(*at_));
    }
    auto found = std::find(at_->keys.begin(), at_->keys.end(), step.text);
    if (found == at_->keys.end()) {
      if (is_entry() && at_->keys.size() == 1 && step.text != "name") refuse_kind(at_->keys[0], step);
      if (!adds_) {
        at_ = nullptr;
        return;
      }
      Value section = Value::map();
      section.mark.source = std::make_shared<const std::string>(where_);
      at_->add(step.text, std::move(section));
      found = at_->keys.end() - 1;
    }
    at_ = &at_->items[static_cast<std::size_t>(found - at_->keys.begin())];
  }

  Value* at_;
  Step last_;
  std::string where_;
  bool adds_;
};

void refuse_unknown(const Step& step, const std::string& where) {
  const std::vector<std::string> keys = schema_keys();
  for (const std::string& key : keys)
    if (key == step.path || key.starts_with(step.path + ".")) return;
  const std::string near = key_for(step.text, keys);
  fail_usage("{}: {}: the file does not set it{}", where, step.path,
             near.empty() ? did_you_mean(step.path, keys) : fmt::format(" (did you mean {}?)", quote(near)));
}

void remove(Value& root, const std::string& path, const std::string& where) {
  if (path.find('=') != std::string::npos) fail_usage("{}: ~key removes a key and takes no value", where);
  std::vector<Step> steps = steps_of(path, where);
  const Step last = steps.back();
  steps.pop_back();
  Walk walk(root, where, false);
  for (const Step& step : steps) walk.take(step);
  Value* const parent = walk.at();
  if (walk.take(last) == nullptr) return refuse_unknown(last, where);  // one that has its default already
  const auto at = walk.at() - parent->items.data();
  parent->items.erase(parent->items.begin() + at);
  if (parent->kind == Value::Kind::map) parent->keys.erase(parent->keys.begin() + at);
}

/// Of the command line rather than of a file, which has lines.
bool is_override(const Value& value) {
  return value.mark.line == 0;
}

bool takes_text(const std::string& path) {
  const std::vector<HelpRow> rows = help_rows(config_table(), "", Config{});
  return std::any_of(rows.begin(), rows.end(),
                     [&](const HelpRow& row) { return row.key == path && row.type == "text"; });
}

/// A word as the shell gave it, whatever it would mean in YAML. A checkpoint must be able to hold it.
Value text_value(const std::string& word, const std::string& where) {
  for_each_character(word, [&](std::string_view, char32_t code) {
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == no_character)
      fail_usage("{}: expected text in UTF-8 without control characters", where);
  });
  Value value = Value::scalar(word, true);
  value.mark.source = std::make_shared<const std::string>(where);
  return value;
}

}  // namespace

void apply_override(Value& root, const std::string& assignment) {
  constexpr std::size_t longest_key = 1000;  // far more than any has
  if (std::min(assignment.find('='), assignment.size()) > longest_key)
    fail_usage("command line: {}: this is longer than any key ({} characters at most)", quote(assignment, 60),
               longest_key);
  const std::string where = "command line: " + assignment;
  if (assignment.starts_with('~')) return remove(root, assignment.substr(1), where);
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail_usage("{}: expected key=value without spaces, e.g. train.epochs=5, or ~key", where);
  }
  Walk walk(root, where, true);
  std::string path;
  for (const Step& step : steps_of(assignment.substr(0, equals), where)) {
    walk.take(step);
    path = step.path;
  }
  const std::string word = assignment.substr(equals + 1);
  *walk.at() = takes_text(path) ? text_value(word, where) : parse_yaml(word, where, false);
}

std::vector<std::string> drop_replaced(Value& root) {
  std::vector<std::string> notes;
  for (const Field<Config>& field : config_table().fields) {
    const auto found = std::find(root.keys.begin(), root.keys.end(), field.key);
    if (!field.idle_keys || found == root.keys.end()) continue;
    Value& section = root.items[static_cast<std::size_t>(found - root.keys.begin())];
    if (section.kind != Value::Kind::map) continue;
    if (std::none_of(section.items.begin(), section.items.end(), is_override)) continue;
    struct Dropped {
      std::string condition, where;
      std::vector<std::string> keys;
    };
    std::vector<Dropped> dropped;  // one for each condition
    for (const auto& [key, condition] : field.idle_keys(section)) {
      const Value* decides = section.find(condition.substr(0, condition.find(':')));
      const auto at = std::find(section.keys.begin(), section.keys.end(), key) - section.keys.begin();
      if (decides == nullptr || !is_override(*decides) ||
          is_override(section.items[static_cast<std::size_t>(at)]))
        continue;
      const auto same = std::find_if(dropped.begin(), dropped.end(),
                                     [&, &of = condition](const Dropped& d) { return d.condition == of; });
      if (same == dropped.end())
        dropped.push_back({condition, decides->mark.text(), {key}});
      else
        same->keys.push_back(key);
      section.items.erase(section.items.begin() + at);
      section.keys.erase(section.keys.begin() + at);
    }
    for (const auto& [condition, where, keys] : dropped) {
      notes.push_back(fmt::format("{}: ignores {} of the file, which {} only with {}", where,
                                  fmt::join(keys, ", "), keys.size() == 1 ? "goes" : "go", condition));
    }
  }
  return notes;
}

}  // namespace convoy
