#include "kernels/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "kernels/augment_pixels.h"
#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

constexpr int samples = 23, slot_rows = 15;

OpCase augment_case(const std::string& name, const FeatureShape& image, int n, bool resident, int crop_pad,
                    PadMode pad_mode, Flip flip) {
  OpCase op;
  op.name = name;
  op.state.seed = 99;
  op.state.epoch = 4;
  op.state.first = 3;
  op.state.slot = 1;
  Augment call;
  call.n = n, call.first = 2, call.image = image, call.resident = resident;
  call.crop_pad = crop_pad, call.pad_mode = pad_mode, call.flip = flip;
  const std::int64_t rows = resident ? samples : staging_slots * std::int64_t{slot_rows};
  call.images = op.input("images", integers(rows * image.count(), 256, 1), DType::u8);
  call.labels = op.input("labels", integers(samples, 10, 2), DType::i32);
  call.order = op.input("order", integers(3 + 2 + n, samples, 3), DType::i32);
  call.scale = op.input("scale", uniform(image.c, 1, 4, 4));
  call.shift = op.input("shift", uniform(image.c, -1, 1, 5));
  call.x = op.result("x", n * image.count());
  call.y = op.result("y", n, DType::i32);
  op.calls = {call};
  return op;
}

/// The same with what `change` adds to the call. Blends take the first of the order for the last one's
/// partner.
OpCase changed_case(OpCase op, const std::string& name, const std::function<void(Augment&)>& change,
                    const Blend& blend = {}) {
  Augment& call = std::get<Augment>(op.calls[0]);
  op.name = name;
  op.state.blend = blend;
  change(call);
  if (call.blends) call.y_partner = op.result("y_partner", call.n, DType::i32);
  return op;
}

std::vector<OpCase> changed_cases() {
  const OpCase plain = augment_case("", {1, 7, 5, 3}, 14, true, 0, PadMode::zero, Flip::none);
  const OpCase cropped = augment_case("", {1, 8, 9, 3}, 18, true, 2, PadMode::reflect, Flip::horizontal);
  const OpCase padded = augment_case("", {1, 9, 8, 3}, 14, false, 3, PadMode::zero, Flip::both);
  const OpCase gray = augment_case("", {1, 28, 28, 1}, 17, true, 2, PadMode::zero, Flip::horizontal);
  const OpCase two_channels = augment_case("", {2, 6, 5, 2}, 9, true, 1, PadMode::reflect, Flip::horizontal);
  const OpCase large = augment_case("", {1, 32, 32, 3}, 128, true, 4, PadMode::reflect, Flip::horizontal);
  const auto brightness = [](Augment& call) { call.jitter.brightness = 0.4f; };
  const auto contrast = [](Augment& call) { call.jitter.contrast = 0.4f; };
  const auto saturation = [](Augment& call) { call.jitter.saturation = 1.5f; };
  const auto hue = [](Augment& call) { call.jitter.hue = 0.5f; };
  const auto colors = [](Augment& call) { call.jitter = {0.4f, 0.5f, 0.6f}; };
  const auto all_colors = [](Augment& call) { call.jitter = {0.4f, 0.5f, 0.6f, 0.3f}; };
  const auto erasing = [](Augment& call) { call.erasing.probability = 0.5f; };
  const auto large_boxes = [](Augment& call) { call.erasing = {1.0f, 0.6f, 1.0f, 0.2f, 5.0f}; };
  const auto blend = [](Augment& call) { call.blends = true; };
  const auto all = [&](Augment& call) { colors(call), erasing(call), blend(call); };
  const auto all_and_hue = [&](Augment& call) { all_colors(call), erasing(call), blend(call); };
  const Blend cut{0.0f, 0.75f, 1, 2, 6, 5}, mix{0.3f, 0.3f, 0, 0, 100, 100};
  return {
      changed_case(plain, "brightness", brightness),
      changed_case(plain, "contrast", contrast),
      changed_case(plain, "saturation", saturation),
      changed_case(plain, "hue", hue),
      changed_case(padded, "hue_of_a_padded_crop_staged", hue),
      changed_case(cropped, "colors_of_a_crop", colors),
      changed_case(cropped, "colors_and_hue_of_a_crop", all_colors),
      changed_case(padded, "colors_of_a_padded_crop_staged", colors),
      changed_case(gray, "colors_of_gray", colors),
      changed_case(two_channels, "colors_of_two_channels", colors),
      changed_case(plain, "erasing", erasing),
      changed_case(cropped, "erasing_what_hardly_fits", large_boxes),
      changed_case(plain, "mixup", blend, mix),
      changed_case(cropped, "cutmix", blend, cut),
      changed_case(padded, "mixup_staged", blend, mix),
      changed_case(cropped, "all_mixup", all, mix),
      changed_case(padded, "all_cutmix_staged", all, cut),
      changed_case(cropped, "all_and_hue_mixup", all_and_hue, mix),
      changed_case(padded, "all_and_hue_cutmix_staged", all_and_hue, cut),
      changed_case(augment_case("", {3, 6, 5, 3}, 9, true, 1, PadMode::reflect, Flip::horizontal),
                   "hue_of_a_volume", hue),
      changed_case(two_channels, "all_of_a_volume", all, cut),
      changed_case(large, "all_large", all, mix),
      changed_case(large, "all_and_hue_large", all_and_hue, mix),
      changed_case(augment_case("", {1, 6, 5, 3}, 0, true, 1, PadMode::zero, Flip::horizontal),
                   "all_of_no_image", all, mix),
  };
}

std::vector<OpCase> augment_cases() {
  return {
      augment_case("plain", {1, 7, 5, 3}, 6, true, 0, PadMode::zero, Flip::none),
      augment_case("gray", {1, 28, 28, 1}, 17, true, 0, PadMode::zero, Flip::none),
      augment_case("staged", {1, 7, 5, 3}, 6, false, 0, PadMode::zero, Flip::none),
      augment_case("crop_zero", {1, 8, 9, 3}, 18, true, 2, PadMode::zero, Flip::none),
      augment_case("crop_reflect", {1, 8, 9, 3}, 18, true, 4, PadMode::reflect, Flip::none),
      augment_case("crop_reflect_to_the_limit", {1, 5, 5, 2}, 18, true, 4, PadMode::reflect,
                   Flip::horizontal),
      augment_case("flip", {1, 6, 7, 3}, 18, true, 0, PadMode::zero, Flip::horizontal),
      augment_case("crop_flip_staged", {1, 8, 8, 3}, 15, false, 2, PadMode::zero, Flip::horizontal),
      augment_case("flip_vertical", {1, 6, 7, 3}, 18, true, 0, PadMode::zero, Flip::vertical),
      augment_case("crop_flip_both_ways", {1, 7, 6, 3}, 18, true, 2, PadMode::zero, Flip::both),
      augment_case("crop_reflect_flip_both_ways_staged", {1, 8, 8, 1}, 15, false, 2, PadMode::reflect,
                   Flip::both),
      augment_case("volume", {3, 6, 5, 2}, 9, true, 1, PadMode::reflect, Flip::horizontal),
      augment_case("no_image", {1, 6, 5, 3}, 0, true, 1, PadMode::zero, Flip::horizontal),
      augment_case("large", {1, 32, 32, 3}, 128, true, 4, PadMode::reflect, Flip::horizontal),
  };
}

INSTANTIATE_TEST_SUITE_P(Augment, OpTest, ::testing::ValuesIn(augment_cases()),
                         [](const auto& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(AugmentChanges, OpTest, ::testing::ValuesIn(changed_cases()),
                         [](const auto& instance) { return instance.param.name; });

/// x is rounded once.
std::vector<OpCase> augment_cases_in_16_bits() {
  std::vector<OpCase> cases = augment_cases();
  for (OpCase& op : changed_cases()) cases.push_back(std::move(op));
  return in_16_bits(cases, {"x"}, 1);
}
CONVOY_STORAGE_TESTS(Augment, augment_cases_in_16_bits);

/// What a case holds, and what the reference makes of it in double.
struct Computed {
  explicit Computed(const OpCase& op)
      : call(std::get<Augment>(op.calls[0])),
        state(op.state),
        images(initial(op, call.images)),
        labels(initial(op, call.labels)),
        order(initial(op, call.order)),
        scale(initial(op, call.scale)),
        shift(initial(op, call.shift)),
        results(OpRunner(op, EngineKind::reference_f64).run()) {}
  static Values initial(const OpCase& op, const Tensor& t) {
    return op.variables[static_cast<std::size_t>(t.offset)].initial.values();
  }

  const Values& result(const Tensor& t) const { return results[static_cast<std::size_t>(t.offset)]; }
  /// The sample at a place of the rank's batch.
  int sample_at(int place) const {
    return static_cast<int>(order[static_cast<std::size_t>(state.first + place)]);
  }
  /// Its pixels, of which row `place` of what is staged has those of a sample that is not resident.
  const double* image(int sample, int place) const {
    const std::int64_t row = call.resident ? sample : state.slot * slot_rows + place;
    return images.data() + row * call.image.count();
  }

  Augment call;
  StepState state;
  Values images, labels, order, scale, shift;
  std::vector<Values> results;
};

/// Flips the image, paints it on a canvas with margins, cuts the crop out: the steps one would do by hand.
Values augmented_by_hand(const Augment& call, const StepState& state, const double* image, int sample) {
  const auto [depth, height, width, channels] = call.image;
  const ImageShift shift = image_shift(state.seed, state.epoch, sample, call.crop_pad, call.flip);
  const int margin = call.crop_pad, canvas_h = height + 2 * margin, canvas_w = width + 2 * margin;
  const auto mirrored = [](int i, int length) { return i < 0 ? -i : i >= length ? 2 * length - 2 - i : i; };
  Values crop;
  for (int d = 0; d < depth; ++d) {
    Values canvas(static_cast<std::size_t>(canvas_h * canvas_w * channels), 0.0);
    for (int h = 0; h < canvas_h; ++h) {
      for (int w = 0; w < canvas_w; ++w) {
        int from_h = h - margin, from_w = w - margin;
        if (call.pad_mode == PadMode::reflect) {
          from_h = mirrored(from_h, height), from_w = mirrored(from_w, width);
        }
        if (from_h < 0 || from_h >= height || from_w < 0 || from_w >= width) continue;
        if (shift.flip) from_w = width - 1 - from_w;
        if (shift.upside_down) from_h = height - 1 - from_h;
        for (int c = 0; c < channels; ++c) {
          canvas[static_cast<std::size_t>((h * canvas_w + w) * channels + c)] =
              image[((d * height + from_h) * width + from_w) * channels + c];
        }
      }
    }
    for (int h = 0; h < height; ++h) {
      const auto begin = canvas.begin() + ((h + margin + shift.dh) * canvas_w + margin + shift.dw) * channels;
      crop.insert(crop.end(), begin, begin + width * channels);
    }
  }
  return crop;
}

/// By way of HSV in six sectors, as textbooks have it.
void turn_hue_by_hand(double* rgb, double share) {
  const double high = std::max({rgb[0], rgb[1], rgb[2]}), low = std::min({rgb[0], rgb[1], rgb[2]});
  if (high == low) return;
  const double span = high - low, saturation = span / high;
  double hue = 0;
  if (high == rgb[0]) {
    hue = (rgb[1] - rgb[2]) / span;
  } else if (high == rgb[1]) {
    hue = 2 + (rgb[2] - rgb[0]) / span;
  } else {
    hue = 4 + (rgb[0] - rgb[1]) / span;
  }
  hue = std::fmod(hue / 6 + share + 2, 1.0) * 6;
  const int sector = static_cast<int>(hue);
  const double part = hue - sector;
  const double p = high * (1 - saturation), q = high * (1 - saturation * part);
  const double t = high * (1 - saturation * (1 - part));
  const std::array<std::array<double, 3>, 6> sectors{
      {{high, t, p}, {q, high, p}, {p, high, t}, {p, q, high}, {t, p, high}, {high, p, q}}};
  std::copy_n(sectors[static_cast<std::size_t>(sector % 6)].begin(), 3, rgb);
}

/// The value in [0, 1] of one channel after colours, of pixels (P,C) in [0, 1]: ColorJitter step by step on
/// whole images.
void recolor_by_hand(Values& image, int channels, const ColorJitter& jitter, const ColorFactors& factors) {
  const auto gray_of = [&](std::size_t pixel) {
    const double* v = &image[pixel * static_cast<std::size_t>(channels)];
    if (channels == 3) return 0.299 * v[0] + 0.587 * v[1] + 0.114 * v[2];
    double sum = 0;
    for (int c = 0; c < channels; ++c) sum += v[c];
    return sum / channels;
  };
  const std::size_t pixels = image.size() / static_cast<std::size_t>(channels);
  const auto blend_with = [&](double factor, const std::function<double(std::size_t)>& other) {
    for (std::size_t p = 0; p < pixels; ++p) {
      const double target = other(p);
      for (int c = 0; c < channels; ++c) {
        double& v = image[p * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)];
        v = std::clamp(factor * v + (1 - factor) * target, 0.0, 1.0);
      }
    }
  };
  blend_with(factors.brightness, [](std::size_t) { return 0.0; });
  double mean = 0;
  for (std::size_t p = 0; p < pixels; ++p) mean += gray_of(p) / static_cast<double>(pixels);
  if (jitter.contrast > 0) blend_with(factors.contrast, [&](std::size_t) { return mean; });
  if (jitter.saturation > 0 && channels > 1) blend_with(factors.saturation, gray_of);
  if (jitter.hue <= 0) return;
  for (std::size_t p = 0; p < pixels; ++p) turn_hue_by_hand(&image[3 * p], factors.hue);
}

}  // namespace

TEST(Augment, is_colors_then_erasing_then_blending) {
  int erased = 0, kept = 0;
  for (const OpCase& op : changed_cases()) {
    const Computed run(op);
    const Augment& call = run.call;
    /// The image of a sample whose staged row is `place` before it is blended.
    const auto changed = [&](int sample, int place) {
      Values image = augmented_by_hand(call, op.state, run.image(sample, place), sample);
      for (double& v : image) v /= 255;
      const ColorFactors factors =
          call.jitter.any() ? color_factors(call.jitter, op.state, sample) : ColorFactors{};
      recolor_by_hand(image, call.image.c, call.jitter, factors);
      const PixelBox box =
          call.erasing.probability > 0 ? erased_box(call.erasing, call.image, op.state, sample) : PixelBox{};
      (box.bottom > box.top ? erased : kept) += 1;
      for (std::size_t e = 0; e < image.size(); ++e) {
        const auto c = e % static_cast<std::size_t>(call.image.c);
        const auto pixel = static_cast<int>(e) / call.image.c;
        image[e] = image[e] * run.scale[c] + run.shift[c];
        if (box.contains(pixel / call.image.w % call.image.h, pixel % call.image.w)) image[e] = 0;
      }
      return image;
    };
    for (int i = 0; i < call.n; ++i) {
      const int sample = run.sample_at(call.first + i);
      Values expected = changed(sample, i);
      if (call.blends) {
        const int partner = run.sample_at(i + 1 < call.n ? call.first + i + 1 : call.after);
        const Values other = changed(partner, i + 1);
        const Blend& blend = op.state.blend;
        for (std::size_t e = 0; e < expected.size(); ++e) {
          const auto pixel = static_cast<int>(e) / call.image.c;
          const int h = pixel / call.image.w % call.image.h, w = pixel % call.image.w;
          if (h >= blend.top && h < blend.bottom && w >= blend.left && w < blend.right)
            expected[e] = double{blend.own} * expected[e] + (1 - double{blend.own}) * other[e];
        }
        EXPECT_EQ(run.result(call.y_partner)[static_cast<std::size_t>(i)],
                  run.labels[static_cast<std::size_t>(partner)]);
      }
      EXPECT_EQ(run.result(call.y)[static_cast<std::size_t>(i)],
                run.labels[static_cast<std::size_t>(sample)]);
      const Values& x = run.result(call.x);
      for (std::size_t e = 0; e < expected.size(); ++e) {
        ASSERT_NEAR(x[static_cast<std::size_t>(i) * expected.size() + e], expected[e], 1e-12)
            << op.name << ", image " << i << ", element " << e;
      }
    }
  }
  EXPECT_GT(erased, 20);
  EXPECT_GT(kept, 20);
}

// Bytes of pixels and what torchvision 0.29's transforms.v2.functional.adjust_hue makes of them / 255 in
// double.
TEST(Augment, turns_hues_as_torchvision_does) {
  struct Turned {
    std::array<int, 3> pixel;
    double share;
    std::array<double, 3> expected;
  };
  const std::vector<Turned> cases{{{255, 0, 0}, -0.2, {0.8, 0.0, 1.0}},
                                  {{255, 0, 0}, 0.1, {1.0, 0.6, 0.0}},
                                  {{255, 255, 0}, 0.5, {0.0, 0.0, 1.0}},
                                  {{200, 120, 40}, -0.2, {0.784314, 0.156863, 0.596078}},
                                  {{200, 120, 40}, 0.37, {0.156863, 0.784314, 0.608628}},
                                  {{12, 250, 99}, -0.5, {0.980392, 0.047059, 0.639215}},
                                  {{12, 250, 99}, 0.1, {0.047059, 0.980392, 0.948236}},
                                  {{30, 60, 220}, -0.2, {0.117647, 0.862745, 0.596079}},
                                  {{30, 60, 220}, 0.37, {0.862745, 0.163922, 0.117647}},
                                  {{77, 77, 77}, 0.37, {0.301961, 0.301961, 0.301961}},
                                  {{0, 0, 0}, 0.37, {0.0, 0.0, 0.0}},
                                  {{141, 140, 142}, 0.37, {0.556863, 0.554667, 0.549020}},
                                  {{250, 7, 130}, 0.1, {0.980392, 0.116863, 0.027451}},
                                  {{250, 7, 130}, 0.5, {0.027451, 0.980392, 0.498039}}};
  for (const auto& [pixel, share, expected] : cases) {
    Hexcone<double> color(pixel[0] / 255.0, pixel[1] / 255.0, pixel[2] / 255.0);
    color.hue += 6 * share;
    for (int c = 0; c < 3; ++c) {
      EXPECT_NEAR(color.channel(c), expected[static_cast<std::size_t>(c)], 1e-6)
          << pixel[0] << " " << pixel[1] << " " << pixel[2] << " by " << share << ", channel " << c;
    }
  }
}

// Over many images: factors and boxes lie where they should, and everywhere there.
TEST(Augment, draws_uniform_factors_and_boxes_inside_the_image) {
  const FeatureShape image{1, 32, 24, 3};
  StepState state;
  state.seed = 7;
  double sum = 0, low = 2, high = 0;
  double share = 0, tall = 0, erased = 0;
  double least_hue = 1, most_hue = -1, mean_hue = 0;
  constexpr int draws = 4000;
  for (int sample = 0; sample < draws; ++sample) {
    const ColorFactors factors = color_factors({0.4f, 2.0f, 0.0f, 0.25f}, state, sample);
    least_hue = std::min<double>(least_hue, factors.hue), most_hue = std::max<double>(most_hue, factors.hue);
    mean_hue += factors.hue / double{draws};
    low = std::min<double>(low, factors.brightness), high = std::max<double>(high, factors.brightness);
    sum += factors.brightness / double{draws};
    EXPECT_GE(factors.contrast, 0);
    EXPECT_LT(factors.contrast, 3);
    EXPECT_EQ(factors.saturation, 1);
    const PixelBox box = erased_box({0.25f, 0.02f, 0.33f, 0.3f, 3.3f}, image, state, sample);
    if (box.bottom == box.top) continue;
    ++erased;
    EXPECT_GE(box.top, 0);
    EXPECT_GE(box.left, 0);
    EXPECT_LE(box.bottom, image.h);
    EXPECT_LE(box.right, image.w);
    const int height = box.bottom - box.top, width = box.right - box.left;
    tall = std::max(tall, double(height) / width);
    share += double(height * width) / (image.h * image.w);
  }
  EXPECT_NEAR(mean_hue, 0, 0.01);
  EXPECT_NEAR(least_hue, -0.25, 0.005);
  EXPECT_NEAR(most_hue, 0.25, 0.005);
  EXPECT_NEAR(sum, 1, 0.01);
  EXPECT_NEAR(low, 0.6, 0.005);
  EXPECT_NEAR(high, 1.4, 0.005);
  EXPECT_NEAR(erased / draws, 0.25, 0.03);
  EXPECT_NEAR(share / erased, 0.165, 0.02);  // a bit below the middle: large ones fit less often
  EXPECT_LT(tall, 4.5);
}

TEST(Augment, is_flip_then_crop_of_the_right_sample) {
  int flips = 0, turned = 0, shifts = 0;
  for (const OpCase& op : augment_cases()) {
    const Computed run(op);
    const Augment& call = run.call;
    const Values &x = run.result(call.x), &y = run.result(call.y);
    for (int i = 0; i < call.n; ++i) {
      const int sample = run.sample_at(call.first + i);
      EXPECT_EQ(y[static_cast<std::size_t>(i)], run.labels[static_cast<std::size_t>(sample)]);
      const Values expected = augmented_by_hand(call, op.state, run.image(sample, i), sample);
      for (std::size_t e = 0; e < expected.size(); ++e) {
        const std::size_t c = e % static_cast<std::size_t>(call.image.c);
        ASSERT_NEAR(x[static_cast<std::size_t>(i) * expected.size() + e],
                    expected[e] / 255 * run.scale[c] + run.shift[c], 1e-12)
            << op.name << ", image " << i << ", element " << e;
      }
      const ImageShift drawn = image_shift(op.state.seed, op.state.epoch, sample, call.crop_pad, call.flip);
      flips += drawn.flip, turned += drawn.upside_down, shifts += drawn.dh != 0 || drawn.dw != 0;
    }
  }
  EXPECT_GT(flips, 0);
  EXPECT_GT(turned, 0);
  EXPECT_GT(shifts, 0);
}

}  // namespace convoy::testing
