#include "src/config/pattern_lists.h"

namespace convoy {
namespace {

/// A list of sections; one of them may stand alone. A section whose short key says everything is written as
/// that.
template <class S>
Codec<std::vector<S>> list_of(const Table<S>& table, std::string type) {
  return {std::move(type),
          [=](const Place& place) {
            std::vector<S> all;
            const auto read = [&](const Place& item) {
              S one;
              set_mark(one, item);
              read_table(table, one, item);
              all.push_back(std::move(one));
            };
            if (place.value.kind != Value::Kind::list) {
              read(place);
              return all;
            }
            Problems problems;
            for (std::size_t i = 0; i < place.value.items.size(); ++i)
              problems.attempt([&] { read(place.item(i)); });
            problems.raise();
            return all;
          },
          [=](const std::vector<S>& all) -> std::optional<Value> {
            if (all.empty()) return std::nullopt;
            Value list = Value::list({});
            for (const S& one : all) {
              Value entry = write_table(table, one);
              const bool brief = entry.items.size() == 1 && entry.keys[0] == table.short_key;
              list.items.push_back(brief ? Value(entry.items[0]) : std::move(entry));
            }
            return list;
          }};
}

/// A pattern begins with `*` where YAML wants quotes.
template <class S>
Field<S> match_field() {
  return field("match", &S::match, string(),
               "names of parameters, with * for any characters and ? for one; a layer's name means all in it")
      .require();
}

/// A learning rate, or `x` and a factor.
Field<GroupConfig> rate_field() {
  const Codec<float> rate = number<float>(above(0));
  Field<GroupConfig> field;
  field.key = "lr";
  field.type = "xFACTOR | " + rate.type;
  field.help = "learning rate at its peak; x10: ten times optimizer.lr";
  field.read = [=](GroupConfig& group, const Place& place) {
    group.absolute = !place.value.text.starts_with('x');
    Value factor = place.value;
    if (!group.absolute) factor.text.erase(0, 1);
    group.lr = rate.read({factor, place.path});
  };
  field.write = [=](const GroupConfig& group) -> std::optional<Value> {
    if (!group.absolute && group.lr == 1) return std::nullopt;
    return Value::scalar((group.absolute ? "" : "x") + rate.write(group.lr)->text);
  };
  return field;
}

}  // namespace

Codec<std::vector<FreezeConfig>> freeze_list() {
  Codec<int> epochs = number<int>(between(1, 1'000'000));
  epochs.write = [](const int& count) -> std::optional<Value> {
    if (count == 0) return std::nullopt;
    return Value::scalar(fmt::to_string(count));
  };
  Table<FreezeConfig> table;
  table.short_key = "match";
  table.fields = {match_field<FreezeConfig>(),
                  field("epochs", &FreezeConfig::epochs, epochs, "how many epochs; then they train")};
  return list_of(table, "list of patterns, or of {match: pattern, epochs: N}");
}

Codec<std::vector<GroupConfig>> group_list() {
  const Codec<float> decay = number<float>(at_least(0));
  const Codec<std::optional<float>> may_decay{
      decay.type, [=](const Place& place) { return std::optional(decay.read(place)); },
      [=](const std::optional<float>& value) { return value ? decay.write(*value) : std::nullopt; }};
  Table<GroupConfig> table;
  table.fields = {match_field<GroupConfig>(), rate_field(),
                  field("weight_decay", &GroupConfig::weight_decay, may_decay,
                        "in place of optimizer.weight_decay, on what that works on")};
  table.check = [](const GroupConfig& group, const Place& place) {
    if (!group.absolute && group.lr == 1 && !group.weight_decay)
      place.refuse("says nothing of the parameters; add lr, weight_decay or both");
  };
  return list_of(table, "list of {match: pattern, lr: xFACTOR | number, weight_decay: number}");
}

}  // namespace convoy
