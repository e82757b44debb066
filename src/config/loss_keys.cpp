#include "src/config/loss_keys.h"

#include <algorithm>

#include "src/config/schema.h"

namespace convoy {
namespace {

std::vector<Kind<LossConfig>> make_loss_kinds() {
  Kind<LossConfig> cross_entropy;
  cross_entropy.name = "cross_entropy";
  Kind<LossConfig> focal;
  focal.name = "focal";
  focal.prototype.gamma = 2;
  focal.table.short_key = "gamma";
  focal.table.fields = {field("gamma", &LossConfig::gamma, number<float>(above(0)), "strength")};
  return {std::move(cross_entropy), std::move(focal)};
}

}  // namespace

Codec<LossConfig> loss_codec() {
  const std::vector<Kind<LossConfig>> kinds = make_loss_kinds();
  return {"cross_entropy | focal | {focal: {gamma: number > 0}}",
          [=](const Place& place) {
            LossConfig loss;
            read_kind(kinds, loss, place, /*fresh=*/true);
            return loss;
          },
          [=](const LossConfig& loss) { return write_kind(kinds[loss.gamma > 0 ? 1 : 0], loss); }};
}

Codec<ClassWeights> class_weights_codec() {
  const Codec<std::vector<float>> values = one_or_list(number<float>(at_least(0)), 2, 1 << 20);
  const std::string type = "balanced | list of one number >= 0 per class";
  return {type,
          [=](const Place& place) {
            ClassWeights weights;
            weights.mark = place.value.mark;
            if (place.value.kind == Value::Kind::list) {
              weights.values = values.read(place);
              if (std::all_of(weights.values.begin(), weights.values.end(), [](float w) { return w == 0; }))
                place.refuse("all weights are 0; one class at least needs more");
            } else if (place.value.text == "balanced") {
              weights.balanced = true;
            } else {
              place.refuse("expected {}, got {}{}", type, describe(place.value),
                           did_you_mean(place.value.text, {"balanced"}));
            }
            return weights;
          },
          [=](const ClassWeights& weights) {
            return weights.balanced ? Value::scalar("balanced") : values.write(weights.values);
          }};
}

}  // namespace convoy
