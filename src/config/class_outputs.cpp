#include "src/config/class_outputs.h"

namespace convoy {
namespace {

/// Calls `use` with each `out` of the model's list that is still to be filled in.
template <class Model, class Use>
void for_each_open(Model& model, const Use& use) {
  for (auto& layer : model.layers) {
    std::visit(
        [&](auto& config) {
          if constexpr (requires { config.out; }) {
            if (config.out == 0) use(config.out);
          }
        },
        layer.layer);
  }
}

}  // namespace

bool wants_classes(const ModelConfig& model) {
  bool any = false;
  for_each_open(model, [&](const int&) { any = true; });
  return any;
}

void fill_in_classes(ModelConfig& model, int classes) {
  for_each_open(model, [&](int& out) { out = classes; });
}

}  // namespace convoy
