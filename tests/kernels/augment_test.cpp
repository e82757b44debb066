#include "kernels/augment.h"

#include <algorithm>

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

constexpr int samples = 23, slot_rows = 15;

OpCase augment_case(const std::string& name, const FeatureShape& image, int n, bool resident, int crop_pad,
                    PadMode pad_mode, bool flip) {
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

std::vector<OpCase> augment_cases() {
  return {
      augment_case("plain", {1, 7, 5, 3}, 6, true, 0, PadMode::zero, false),
      augment_case("gray", {1, 28, 28, 1}, 17, true, 0, PadMode::zero, false),
      augment_case("staged", {1, 7, 5, 3}, 6, false, 0, PadMode::zero, false),
      augment_case("crop_zero", {1, 8, 9, 3}, 18, true, 2, PadMode::zero, false),
      augment_case("crop_reflect", {1, 8, 9, 3}, 18, true, 4, PadMode::reflect, false),
      augment_case("crop_reflect_to_the_limit", {1, 5, 5, 2}, 18, true, 4, PadMode::reflect, true),
      augment_case("flip", {1, 6, 7, 3}, 18, true, 0, PadMode::zero, true),
      augment_case("crop_flip_staged", {1, 8, 8, 3}, 15, false, 2, PadMode::zero, true),
      augment_case("volume", {3, 6, 5, 2}, 9, true, 1, PadMode::reflect, true),
      augment_case("no_image", {1, 6, 5, 3}, 0, true, 1, PadMode::zero, true),
      augment_case("large", {1, 32, 32, 3}, 128, true, 4, PadMode::reflect, true),
  };
}

INSTANTIATE_TEST_SUITE_P(Augment, OpTest, ::testing::ValuesIn(augment_cases()),
                         [](const auto& instance) { return instance.param.name; });

/// x is rounded once.
std::vector<OpCase> augment_cases_in_16_bits() {
  return in_16_bits(augment_cases(), {"x"}, 1);
}
CONVOY_STORAGE_TESTS(Augment, augment_cases_in_16_bits);

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

}  // namespace

TEST(Augment, is_flip_then_crop_of_the_right_sample) {
  int flips = 0, shifts = 0;
  for (const OpCase& op : augment_cases()) {
    const Augment& call = std::get<Augment>(op.calls[0]);
    const auto initial = [&](const Tensor& t) {
      return op.variables[static_cast<std::size_t>(t.offset)].initial.values();
    };
    const Values images = initial(call.images), labels = initial(call.labels), order = initial(call.order);
    const Values scale = initial(call.scale), shift = initial(call.shift);
    const std::vector<Values> results = OpRunner(op, EngineKind::reference_f64).run();
    const Values& x = results[static_cast<std::size_t>(call.x.offset)];
    const Values& y = results[static_cast<std::size_t>(call.y.offset)];
    for (int i = 0; i < call.n; ++i) {
      const int sample = static_cast<int>(order[static_cast<std::size_t>(op.state.first + call.first + i)]);
      EXPECT_EQ(y[static_cast<std::size_t>(i)], labels[static_cast<std::size_t>(sample)]);
      const std::int64_t row = call.resident ? sample : op.state.slot * slot_rows + i;
      const Values expected =
          augmented_by_hand(call, op.state, images.data() + row * call.image.count(), sample);
      for (std::size_t e = 0; e < expected.size(); ++e) {
        const std::size_t c = e % static_cast<std::size_t>(call.image.c);
        ASSERT_NEAR(x[static_cast<std::size_t>(i) * expected.size() + e],
                    expected[e] / 255 * scale[c] + shift[c], 1e-12)
            << op.name << ", image " << i << ", element " << e;
      }
      const ImageShift drawn = image_shift(op.state.seed, op.state.epoch, sample, call.crop_pad, call.flip);
      flips += drawn.flip, shifts += drawn.dh != 0 || drawn.dw != 0;
    }
  }
  EXPECT_GT(flips, 0);
  EXPECT_GT(shifts, 0);
}

}  // namespace convoy::testing
