// The schema of the operations among the entries of data.augment (kernels/retouch.h).
#include "kernels/retouch_pixels.h"
#include "src/config/schema.h"

namespace convoy {
namespace {

using O = PictureOperation;

/// What an entry means that says nothing: torchvision's defaults.
PictureOperation initial_operation(PictureOp op) {
  PictureOperation operation;
  operation.op = op;
  if (op >= PictureOp::grayscale) operation.probability = op == PictureOp::grayscale ? 0.1f : 0.5f;
  return operation;
}

/// The operation of this kind; at the end of the list where it is not in it yet.
PictureOperation& operation_of(DataConfig& data, PictureOp op) {
  for (PictureOperation& operation : data.operations)
    if (operation.op == op) return operation;
  return data.operations.emplace_back(initial_operation(op));
}
PictureOperation operation_of(const DataConfig& data, PictureOp op) {
  for (const PictureOperation& operation : data.operations)
    if (operation.op == op) return operation;
  return initial_operation(op);
}

/// A key whose value is a member of the operation.
template <class T>
Field<DataConfig> operation_field(std::string key, PictureOp op, T O::*member, const Codec<T>& codec,
                                  std::string help) {
  Field<DataConfig> field;
  field.key = std::move(key);
  field.type = codec.type;
  field.help = std::move(help);
  field.read = [=](DataConfig& data, const Place& place) {
    operation_of(data, op).*member = codec.read(place);
  };
  field.write = [=](const DataConfig& data) { return codec.write(operation_of(data, op).*member); };
  return field;
}

/// What a single number says of two.
enum class Lone { both, first };

/// `[first, second]` or one number. `ascending`: they are the ends of a range.
Field<DataConfig> pair_field(std::string key, PictureOp op, float O::*first, float O::*second,
                             const Interval& range, Lone lone, bool ascending, std::string help) {
  const Codec<std::vector<float>> codec = one_or_list(number<float>(range), 1, 2);
  Field<DataConfig> field;
  field.key = std::move(key);
  field.type = codec.type + " of two";
  field.help = std::move(help);
  field.read = [=](DataConfig& data, const Place& place) {
    const std::vector<float> values = codec.read(place);
    const float other = values.size() == 2 ? values[1] : lone == Lone::both ? values[0] : 0;
    if (ascending && values[0] > other)
      place.refuse("{} comes before {}; give the smaller value first", values[0], other);
    operation_of(data, op).*first = values[0], operation_of(data, op).*second = other;
  };
  field.write = [=](const DataConfig& data) {
    const PictureOperation operation = operation_of(data, op);
    const float one = operation.*first, other = operation.*second;
    if (other == (lone == Lone::both ? one : 0)) return codec.write({one});
    return codec.write({one, other});
  };
  return field;
}

Kind<DataConfig> operation_kind(PictureOp op, std::string help, std::string short_key,
                                std::vector<Field<DataConfig>> fields) {
  Kind<DataConfig> kind;
  kind.name = name_of(op);
  kind.help = std::move(help);
  kind.table.short_key = std::move(short_key);
  kind.table.fields = std::move(fields);
  return kind;
}

/// One that an image meets with some probability, as its other keys say.
Kind<DataConfig> chance_kind(PictureOp op, std::string help, std::vector<Field<DataConfig>> fields) {
  std::string short_key = fields.empty() ? "probability" : fields[0].key;
  fields.push_back(operation_field("probability", op, &O::probability,
                                   number<float>(Interval{.low = 0, .high = 1, .low_open = true}),
                                   "share of images"));
  return operation_kind(op, std::move(help), std::move(short_key), std::move(fields));
}

std::vector<Kind<DataConfig>> make_operation_kinds() {
  using enum PictureOp;
  std::vector<Kind<DataConfig>> kinds;
  kinds.push_back(operation_kind(
      trivial_augment,
      "one operation of 14 at one strength of 31, both drawn: torchvision's TrivialAugmentWide", "", {}));
  kinds.push_back(operation_kind(
      rand_augment, "n operations of 14 that are drawn, all of strength m: torchvision's RandAugment", "",
      {operation_field("n", rand_augment, &O::count, number<int>(between(1, Retouch::max_count)),
                       "operations, one after the other"),
       operation_field("m", rand_augment, &O::magnitude, number<int>(between(0, magnitude_bins - 1)),
                       "their strength")}));
  kinds.push_back(
      chance_kind(rotate, "turn by a random angle; what comes from outside is black",
                  {operation_field("degrees", rotate, &O::degrees,
                                   number<float>(Interval{.low = 0, .high = 180, .low_open = true}),
                                   "largest angle in either direction")
                       .require()}));
  Kind<DataConfig> motion = chance_kind(
      affine, "turn, shift, scale and shear; what comes from outside is black",
      {operation_field("degrees", affine, &O::degrees, number<float>(between(0, 180)),
                       "largest angle in either direction"),
       pair_field("translate", affine, &O::translate_x, &O::translate_y, between(0, 1), Lone::both, false,
                  "largest shift, as a share of the width and of the height"),
       pair_field("scale", affine, &O::min_scale, &O::max_scale, Interval{.low = 0.001, .high = 1000},
                  Lone::both, true, "smallest and largest factor on sizes"),
       pair_field("shear", affine, &O::shear_x, &O::shear_y, between(0, 89), Lone::first, false,
                  "largest angle of shear in degrees: horizontal, or [horizontal, vertical]")});
  motion.table.short_key = "";
  motion.table.check = [](const DataConfig& data, const Place& place) {
    PictureOperation still = initial_operation(affine);
    const PictureOperation asked = operation_of(data, affine);
    still.probability = asked.probability;
    if (asked == still) place.refuse("needs a motion: degrees, translate, scale or shear");
  };
  kinds.push_back(std::move(motion));
  Kind<DataConfig> blur = chance_kind(
      gaussian_blur, "filter with a Gaussian of random width",
      {operation_field("kernel", gaussian_blur, &O::kernel, number<int>(between(3, Retouch::max_kernel)),
                       "height and width of the filter in pixels, an odd number")
           .require(),
       pair_field("sigma", gaussian_blur, &O::min_sigma, &O::max_sigma, between(0.1, 100), Lone::both, true,
                  "smallest and largest standard deviation in pixels")});
  blur.table.check = [](const DataConfig& data, const Place& place) {
    const int kernel = operation_of(data, gaussian_blur).kernel;
    if (kernel % 2 == 0) place.at("kernel").refuse("{} is even; expected an odd number", kernel);
  };
  kinds.push_back(std::move(blur));
  kinds.push_back(chance_kind(grayscale, "replace the colours of some images by gray", {}));
  kinds.push_back(chance_kind(posterize, "keep a few of the 8 bits of each value",
                              {operation_field("bits", posterize, &O::bits, number<int>(between(0, 8)),
                                               "how many of the highest bits are kept")
                                   .require()}));
  kinds.push_back(
      chance_kind(solarize, "invert bright values",
                  {operation_field("threshold", solarize, &O::threshold, number<float>(between(0, 255)),
                                   "values from it on are inverted, of 0 to 255")
                       .require()}));
  kinds.push_back(chance_kind(equalize, "make all values of a channel about equally frequent", {}));
  kinds.push_back(chance_kind(autocontrast, "stretch each channel to the whole range of values", {}));
  kinds.push_back(
      chance_kind(sharpness, "blur or sharpen edges",
                  {operation_field("factor", sharpness, &O::factor, number<float>(between(0, 100)),
                                   "0: blurred, 1: as it is, 2: sharpened")
                       .require()}));
  return kinds;
}

}  // namespace

const std::vector<Kind<DataConfig>>& operation_kinds() {
  static const std::vector<Kind<DataConfig>> kinds = make_operation_kinds();
  return kinds;
}

const Kind<DataConfig>& kind_of(PictureOp op) {
  const auto& kinds = operation_kinds();
  return *std::find_if(kinds.begin(), kinds.end(),
                       [&](const auto& kind) { return kind.name == name_of(op); });
}

void add_operation(DataConfig& data, const std::string& kind) {
  for (int op = 0; op < picture_ops; ++op)
    if (name_of(static_cast<PictureOp>(op)) == kind) operation_of(data, static_cast<PictureOp>(op));
}

void check_operations(const Config& config, const Place& place) {
  const Place at = place.at("data").at("augment");
  const std::vector<int>& input = config.model.input;
  const int channels = input[0], side = std::min(input[input.size() - 2], input.back());
  for (const PictureOperation& operation : config.data.operations) {
    const char* const name = name_of(operation.op);
    if (input.size() == 4 && input[1] > 1)
      at.refuse("{}: is for pictures, but model.input [{}] is a volume; leave it out", name,
                fmt::join(input, ", "));
    switch (operation.op) {
      case PictureOp::trivial_augment:
      case PictureOp::rand_augment:
      case PictureOp::grayscale:
      case PictureOp::autocontrast:
      case PictureOp::sharpness:
        if (channels != 1 && channels != 3)
          at.refuse("{}: needs images of 1 or 3 channels, but model.input has {}; leave it out", name,
                    channels);
        break;
      case PictureOp::gaussian_blur:
        if (channels > max_blurred_channels)
          at.refuse("{}: can do up to {} channels, but model.input has {}; leave it out", name,
                    max_blurred_channels, channels);
        if (operation.kernel / 2 >= side)
          at.refuse("{}.kernel: half of {} must be less than model.input's height and width, {}", name,
                    operation.kernel, side);
        break;
      default:
        break;
    }
  }
}

}  // namespace convoy
