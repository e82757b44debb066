// The schema of data.augment.
#include "src/config/schema.h"

namespace convoy {
namespace {

constexpr Interval share_above_zero{.low = 0, .high = 1, .low_open = true};

/// A key whose value is a member of a member.
template <class S, class Part, class T>
Field<S> inner_field(std::string key, Part S::*part, T Part::*member, const Codec<T>& codec,
                     std::string help) {
  Field<S> field;
  field.key = std::move(key);
  field.type = codec.type;
  field.help = std::move(help);
  field.read = [=](S& target, const Place& place) { target.*part.*member = codec.read(place); };
  field.write = [=](const S& source) { return codec.write(source.*part.*member); };
  return field;
}

/// `[low, high]` for two members of a member.
template <class S, class Part>
Field<S> range_field(std::string key, Part S::*part, float Part::*low, float Part::*high, Interval range,
                     std::string help) {
  const Codec<std::vector<float>> codec = one_or_list(number<float>(range), 2, 2);
  Field<S> field;
  field.key = std::move(key);
  field.type = codec.type;
  field.help = std::move(help);
  field.read = [=](S& target, const Place& place) {
    const std::vector<float> ends = codec.read(place);
    if (ends[0] > ends[1]) place.refuse("{} comes before {}; give the smaller value first", ends[0], ends[1]);
    target.*part.*low = ends[0], target.*part.*high = ends[1];
  };
  field.write = [=](const S& source) { return codec.write({source.*part.*low, source.*part.*high}); };
  return field;
}

using D = DataConfig;

/// What comes before the operations on whole pictures.
std::vector<Kind<D>> make_early_kinds() {
  using R = RandomResizedCrop;
  Kind<D> part;
  part.name = "random_resized_crop";
  part.help = "resize a random part of the picture to model.input (source: folder | packed)";
  part.table.short_key = "scale";
  part.table.fields = {
      range_field("scale", &D::resized_crop, &R::min_scale, &R::max_scale, share_above_zero,
                  "smallest and largest area of the part, as a share of the picture; [0.08, 1] is usual")
          .require(),
      range_field("ratio", &D::resized_crop, &R::min_ratio, &R::max_ratio, above(0),
                  "smallest and largest ratio of its width to its height")};
  part.matches = [](const D& d) { return d.resized_crop.max_scale > 0; };
  Kind<D> crop;
  crop.name = "crop";
  crop.help = "shift by up to `pad` pixels";
  crop.table.short_key = "pad";
  crop.table.fields = {
      field("pad", &D::crop_pad, number<int>(between(0, 1024)), "pixels added on every side").require(),
      field("mode", &D::crop_mode, choice<PadMode>({{"zero", PadMode::zero}, {"reflect", PadMode::reflect}}),
            "what the added pixels hold")};
  crop.matches = [](const D& d) { return d.crop_pad > 0 || d.crop_mode != PadMode::zero; };
  Kind<D> flip;
  flip.name = "flip";
  flip.help = "mirror half of the images";
  flip.table.short_key = "direction";
  flip.table.fields = {
      field("direction", &D::flip,
            choice<Flip>(
                {{"horizontal", Flip::horizontal}, {"vertical", Flip::vertical}, {"both", Flip::both}}),
            "horizontal: mirror left and right; vertical: top and bottom; both: each for half of the images")
          .require()};
  flip.matches = [](const D& d) { return d.flip != Flip::none; };
  return {std::move(part), std::move(crop), std::move(flip)};
}
const std::vector<Kind<D>>& early_kinds() {
  static const std::vector<Kind<D>> kinds = make_early_kinds();
  return kinds;
}

/// What comes after them.
std::vector<Kind<D>> make_late_kinds() {
  using J = ColorJitter;
  using E = RandomErasing;
  Kind<D> jitter;
  jitter.name = "color_jitter";
  jitter.help =
      "multiply brightness, contrast and saturation by random factors between 1 - s and 1 + s, where s is "
      "the strength below, and shift the hue";
  const Codec<float> strength = number<float>(between(0, 10));
  jitter.table.fields = {
      inner_field("brightness", &D::jitter, &J::brightness, strength, "strength of the factor on all values"),
      inner_field("contrast", &D::jitter, &J::contrast, strength,
                  "strength of the factor on distances from the image's mean gray"),
      inner_field("saturation", &D::jitter, &J::saturation, strength,
                  "strength of the factor on distances from the pixel's gray"),
      inner_field("hue", &D::jitter, &J::hue, number<float>(between(0, 0.5)),
                  "largest shift in either direction, as a share of the colour circle; images of three "
                  "channels only")};
  jitter.table.check = [](const D& data, const Place& place) {
    if (!data.jitter.any()) place.refuse("needs a strength: brightness, contrast, saturation or hue");
  };
  jitter.matches = [](const D& d) { return d.jitter.any(); };
  Kind<D> erasing;
  erasing.name = "random_erasing";
  erasing.help = "fill a random rectangle with the mean";
  erasing.table.short_key = "probability";
  erasing.table.fields = {inner_field("probability", &D::erasing, &E::probability,
                                      number<float>(share_above_zero), "share of images")
                              .require(),
                          range_field("area", &D::erasing, &E::min_area, &E::max_area, share_above_zero,
                                      "smallest and largest area of the rectangle, as a share of the image"),
                          range_field("ratio", &D::erasing, &E::min_ratio, &E::max_ratio, above(0),
                                      "smallest and largest ratio of its height to its width")};
  erasing.matches = [](const D& d) { return d.erasing.probability > 0; };
  Kind<D> mixup;
  mixup.name = "mixup";
  mixup.help =
      "mix each image and its label with another image and label; the share is drawn from Beta(alpha, alpha)";
  mixup.table.short_key = "alpha";
  const Codec<float> alpha = number<float>(Interval{.low = 0, .high = 8, .low_open = true});
  mixup.table.fields = {field("alpha", &D::mixup, alpha, "larger: more even blends").require()};
  mixup.matches = [](const D& d) { return d.mixup > 0; };
  Kind<D> cutmix;
  cutmix.name = "cutmix";
  cutmix.help =
      "replace a box by the same box of another image; its share of the area is drawn from Beta(alpha, "
      "alpha)";
  cutmix.table.short_key = "alpha";
  cutmix.table.fields = {field("alpha", &D::cutmix, alpha, "1: every share is equally likely").require()};
  cutmix.matches = [](const D& d) { return d.cutmix > 0; };
  return {std::move(jitter), std::move(erasing), std::move(mixup), std::move(cutmix)};
}
const std::vector<Kind<D>>& late_kinds() {
  static const std::vector<Kind<D>> kinds = make_late_kinds();
  return kinds;
}

}  // namespace

const std::vector<Kind<DataConfig>>& augment_kinds() {
  static const std::vector<Kind<DataConfig>> all = [] {
    std::vector<Kind<DataConfig>> joined = early_kinds();
    for (const auto* kinds : {&operation_kinds(), &late_kinds()})
      joined.insert(joined.end(), kinds->begin(), kinds->end());
    return joined;
  }();
  return all;
}

Field<DataConfig> augment_field() {
  Field<DataConfig> field;
  field.key = "augment";
  std::vector<std::string> names;
  for (const Kind<DataConfig>& kind : augment_kinds()) names.push_back(kind.name);
  field.type = fmt::format("list of {}", fmt::join(names, ", "));
  field.help = "random changes of the training images";
  field.read = [](DataConfig& target, const Place& place) {
    if (place.value.kind != Value::Kind::list) {
      place.refuse("expected a list such as [{{crop: {{pad: 2}}}}, {{flip: horizontal}}], got {}",
                   describe(place.value));
    }
    std::vector<std::string> seen;
    for (std::size_t i = 0; i < place.value.items.size(); ++i) {
      const std::string& name = find_kind(augment_kinds(), place.item(i)).first->name;
      if (std::find(seen.begin(), seen.end(), name) != seen.end())
        place.item(i).refuse("{} given twice", name);
      seen.push_back(name);
      add_operation(target, name);
      read_kind(augment_kinds(), target, place.item(i), false);
    }
  };
  field.write = [](const DataConfig& source) -> std::optional<Value> {
    Value list = Value::list({});
    const auto write_what_is_asked = [&](const std::vector<Kind<DataConfig>>& kinds) {
      for (const Kind<DataConfig>& kind : kinds)
        if (kind.matches(source)) list.items.push_back(write_kind(kind, source));
    };
    write_what_is_asked(early_kinds());
    for (const PictureOperation& operation : source.operations)
      list.items.push_back(write_kind(kind_of(operation.op), source));
    write_what_is_asked(late_kinds());
    return list;
  };
  return field;
}

}  // namespace convoy
