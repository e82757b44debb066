#include "src/config/fine_tuning.h"

#include <fmt/ranges.h>

namespace convoy {
namespace {

// The rule and the augmentation of PyTorch's tutorial on transfer learning. Its lr is 0.001 at batches of 4:
// 0.008 at 32, by the linear rule (Goyal et al., "Accurate, Large Minibatch SGD", 2017).
constexpr const char* recipe = R"(
train: {epochs: 20, global_batch: 32}
optimizer: {name: sgd, lr: 0.01, momentum: 0.9, weight_decay: 0.0001}
schedule: {name: cosine, warmup_epochs: 1}
)";
constexpr const char* recipe_of_pictures = R"(
data:
  augment: [{random_resized_crop: {scale: [0.08, 1]}}, {flip: horizontal}]
)";

bool has_streamed_pictures(const Value& root) {
  const Value* data = root.find("data");
  const Value* source = data == nullptr ? nullptr : data->find("source");
  if (source == nullptr) return false;
  for (const SourceFacts& facts : source_list)
    if (source->text == facts.name) return is_streamed(facts.source);
  return false;
}

void fill_in(Value& root, const Value& defaults, std::vector<std::string>& filled) {
  for (std::size_t i = 0; i < defaults.keys.size(); ++i) {
    const std::string& section = defaults.keys[i];
    if (root.find(section) == nullptr) root.add(section, Value::map());
    Value& given = *root.find(section);
    if (given.kind != Value::Kind::map || given.find("name") != nullptr) continue;
    const Value& keys = defaults.items[i];
    for (std::size_t k = 0; k < keys.keys.size(); ++k) {
      if (given.find(keys.keys[k]) != nullptr) continue;
      given.add(keys.keys[k], keys.items[k]);
      filled.push_back(fmt::format("{}.{}: {}", section, keys.keys[k], write_flow(keys.items[k])));
    }
  }
}

}  // namespace

void fill_in_fine_tuning(Value& root, std::vector<std::string>& notes) {
  const std::string source = "the defaults of fine-tuning";
  std::vector<std::string> filled;
  fill_in(root, parse_yaml(recipe, source, false), filled);
  if (has_streamed_pictures(root)) fill_in(root, parse_yaml(recipe_of_pictures, source, false), filled);
  if (!filled.empty())
    notes.push_back(fmt::format("fine-tuning, since model.init is given; keys that the file leaves out: {}",
                                fmt::join(filled, ", ")));
}

}  // namespace convoy
