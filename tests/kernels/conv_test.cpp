#include "kernels/conv/conv.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <variant>

#include "tests/kernels/conv_case.h"
#include "tests/test_environment.h"

namespace convoy::testing {
namespace {

std::vector<OpCase> conv_cases() {
  ConvShape tall = square(2, 9, 3, 5, 3, 1, 0);  // kernel, stride, pad and dilation differ by axis
  tall.in = {1, 11, 6, 3}, tall.r = 4, tall.s = 2, tall.stride = {1, 3, 1}, tall.pad = {0, 2, 1};
  tall.dilation = {1, 1, 3};
  ConvShape row = square(3, 1, 4, 6, 3, 1, 1);
  row.in = {1, 1, 17, 4}, row.r = 1, row.pad = {0, 0, 1};
  ConvShape volume = square(2, 6, 2, 4, 3, 1, 1);
  volume.in = {5, 6, 7, 2}, volume.t = 3, volume.stride = {2, 1, 2}, volume.pad = {1, 1, 0};
  ConvShape dilated_volume = square(1, 6, 1, 3, 2, 1, 1);
  dilated_volume.in = {7, 6, 5, 1}, dilated_volume.t = 2, dilated_volume.dilation = {3, 2, 1};
  dilated_volume.pad = {1, 0, 1};
  ConvShape large_volume = square(3, 12, 8, 16, 3, 1, 1);
  large_volume.in = {10, 12, 12, 8}, large_volume.t = 3, large_volume.pad = {1, 1, 1};
  return {
      conv_case("one_by_one", square(2, 5, 3, 4, 1, 1, 0), true, true),
      conv_case("same_3x3", square(2, 6, 4, 5, 3, 1, 1), true, true),
      conv_case("no_bias", square(2, 6, 4, 5, 3, 1, 1), false, true),
      conv_case("gray_images", square(3, 7, 1, 6, 3, 1, 1), true, true),
      conv_case("rgb_images", square(2, 8, 3, 7, 3, 1, 1), true, true),
      conv_case("stride_2", square(2, 9, 3, 4, 5, 2, 2), true, true),
      conv_case("stride_2_leftover", square(2, 8, 3, 4, 3, 2, 1), true, true),
      conv_case("stride_3", square(2, 11, 2, 3, 3, 3, 1), true, true),
      conv_case("stride_beyond_kernel", square(2, 8, 3, 4, 1, 2, 0), false, true),
      conv_case("dilation_2", square(2, 9, 3, 4, 3, 1, 2, 2), true, true),
      conv_case("stride_2_dilation_3", square(1, 12, 2, 3, 3, 2, 3, 3), true, true),
      conv_case("even_kernel", square(2, 7, 3, 4, 4, 1, 2), true, true),
      conv_case("pad_beyond_kernel", square(2, 4, 3, 4, 1, 1, 2), true, true),
      conv_case("kernel_is_image", square(3, 5, 4, 6, 5, 1, 0), true, true),
      conv_case("axes_differ", tall, true, true),
      conv_case("one_row", row, true, true),
      conv_case("volume", volume, true, true),
      conv_case("dilated_volume", dilated_volume, true, true),
      conv_case("one_image", square(1, 8, 16, 16, 3, 1, 1), true, true),
      conv_case("no_image", square(0, 8, 3, 4, 3, 1, 1), true, false),
      conv_case("tile_and_one", square(3, 17, 17, 33, 3, 1, 1), true, false),
      conv_case("many_channels", square(2, 8, 129, 65, 3, 1, 1), true, false),
      conv_case("lenet_first", square(33, 28, 1, 32, 3, 1, 1), true, false),
      conv_case("lenet_second", square(9, 14, 32, 64, 3, 1, 1), true, false),
      conv_case("stem_7x7", square(2, 33, 3, 64, 7, 2, 3), false, false),
      conv_case("shortcut_1x1", square(5, 15, 64, 130, 1, 2, 0), false, false),
      conv_case("large_volume", large_volume, true, false),
  };
}

CONVOY_OP_TESTS(Conv, conv_cases);

std::vector<OpCase> conv_cases_in_16_bits() {
  return products_in_16_bits(conv_cases());
}
CONVOY_STORAGE_TESTS(Conv, conv_cases_in_16_bits);

/// Channels in fours, more than a first layer's, which tensor cores take; sizes that fill no tile, and many
/// tiles.
std::vector<OpCase> tf32_quad_cases() {
  ConvShape tall = square(2, 9, 12, 20, 3, 1, 0);  // kernel, stride, pad and dilation differ by axis
  tall.in = {1, 11, 6, 12}, tall.r = 4, tall.s = 2, tall.stride = {1, 3, 1}, tall.pad = {0, 2, 1};
  tall.dilation = {1, 1, 3};
  ConvShape volume = square(3, 6, 8, 36, 3, 1, 1);
  volume.in = {5, 6, 7, 8}, volume.t = 3, volume.stride = {2, 1, 2}, volume.pad = {1, 1, 0};
  volume.dilation = {1, 2, 1};
  ConvShape longest = square(2, 1, 8, 12, 1, 1, 0);  // as many taps along an axis as its masks hold, and more
  longest.in = {1, 1, 40, 8}, longest.s = 10, longest.pad = {0, 0, 4};
  ConvShape too_long = longest;
  too_long.s = 11;
  const auto tf32 = [](const std::string& name, const ConvShape& s) {
    OpCase op = conv_case("tf32_" + name, s, false, false, Math::tf32);
    op.tolerance = tf32_tolerance;
    return op;
  };
  return {
      tf32("one_pixel", square(1, 1, 8, 4, 1, 1, 0)),
      tf32("lenet_second", square(9, 14, 32, 64, 3, 1, 1)),
      tf32("one_by_one", square(3, 9, 64, 40, 1, 1, 0)),
      tf32("odd_sizes", square(3, 7, 20, 44, 3, 1, 1)),
      tf32("stride_2", square(3, 13, 16, 36, 3, 2, 1)),
      tf32("stride_3", square(2, 11, 8, 12, 5, 3, 2)),
      tf32("shortcut_1x1", square(5, 15, 64, 132, 1, 2, 0)),
      tf32("dilation_2", square(2, 10, 12, 8, 3, 1, 2, 2)),
      tf32("stride_2_dilation_3", square(2, 12, 8, 68, 3, 2, 3, 3)),
      tf32("kernel_is_image", square(3, 5, 16, 24, 5, 1, 0)),
      tf32("pad_beyond_kernel", square(2, 4, 12, 16, 1, 1, 2)),
      tf32("wide", square(4, 8, 128, 260, 3, 1, 1)),
      tf32("many_tiles", square(33, 32, 32, 128, 1, 1, 0)),
      tf32("many_tiles_back", square(33, 32, 128, 32, 1, 1, 0)),
      tf32("axes_differ", tall),
      tf32("volume", volume),
      tf32("longest_kernel", longest),
      tf32("too_long_a_kernel", too_long),
  };
}

/// What tensor cores do not take, or take with an epilogue, or have nothing to do for.
std::vector<OpCase> tf32_other_cases() {
  std::vector<OpCase> cases = {
      conv_case("tf32_bias", square(9, 14, 32, 64, 3, 1, 1), true, false, Math::tf32),
      conv_case("tf32_odd_channels", square(3, 9, 33, 65, 3, 1, 1), true, false, Math::tf32),
      conv_case("tf32_odd_filters", square(3, 9, 32, 5, 3, 1, 1), true, false, Math::tf32),
      conv_case("tf32_gray_images", square(9, 28, 1, 32, 3, 1, 1), true, false, Math::tf32),
      conv_case("tf32_no_image", square(0, 8, 32, 64, 3, 1, 1), true, false, Math::tf32),
  };
  for (OpCase& op : cases) op.tolerance = tf32_tolerance;
  return cases;
}

/// Channels in eights, which tensor cores take in 16 bits.
std::vector<OpCase> conv_cases_in_eights() {
  ConvShape tall = square(2, 9, 16, 24, 3, 1, 0);
  tall.in = {1, 11, 6, 16}, tall.r = 4, tall.s = 2, tall.stride = {1, 3, 1}, tall.pad = {0, 2, 1};
  tall.dilation = {1, 1, 3};
  ConvShape volume = square(3, 6, 8, 40, 3, 1, 1);
  volume.in = {5, 6, 7, 8}, volume.t = 3, volume.stride = {2, 1, 2}, volume.pad = {1, 1, 0};
  volume.dilation = {1, 2, 1};
  ConvShape longest = square(2, 1, 8, 16, 1, 1, 0);
  longest.in = {1, 1, 40, 8}, longest.s = 10, longest.pad = {0, 0, 4};
  ConvShape too_long = longest;
  too_long.s = 11;
  const auto plain = [](const std::string& name, const ConvShape& s, bool bias = false) {
    return conv_case("eights_" + name, s, bias, false);
  };
  return products_in_16_bits({
      plain("one_pixel", square(1, 1, 8, 8, 1, 1, 0)),
      plain("lenet_second", square(9, 14, 32, 64, 3, 1, 1), true),
      plain("airbench_first", square(3, 31, 24, 64, 3, 1, 1), true),
      plain("one_by_one", square(3, 9, 64, 40, 1, 1, 0)),
      plain("odd_sizes", square(3, 7, 24, 72, 3, 1, 1), true),
      plain("stride_2", square(3, 13, 16, 40, 3, 2, 1)),
      plain("stride_3", square(2, 11, 8, 24, 5, 3, 2)),
      plain("shortcut_1x1", square(5, 15, 64, 136, 1, 2, 0)),
      plain("dilation_2", square(2, 10, 24, 8, 3, 1, 2, 2)),
      plain("stride_2_dilation_3", square(2, 12, 8, 72, 3, 2, 3, 3)),
      plain("kernel_is_image", square(3, 5, 16, 24, 5, 1, 0)),
      plain("pad_beyond_kernel", square(2, 4, 8, 16, 1, 1, 2)),
      plain("wide", square(4, 8, 128, 264, 3, 1, 1)),
      plain("wide_back", square(4, 8, 264, 128, 3, 1, 1)),
      plain("many_tiles", square(33, 32, 32, 128, 1, 1, 0)),
      plain("many_tiles_back", square(33, 32, 128, 32, 1, 1, 0)),
      plain("largest_tiles", square(40, 32, 64, 256, 1, 1, 0)),
      plain("largest_tiles_back", square(40, 32, 256, 64, 1, 1, 0)),
      plain("many_blocks", square(21, 9, 136, 200, 3, 1, 1), true),
      plain("many_tiles_stride_2", square(9, 16, 64, 72, 3, 2, 1), true),
      plain("seven_by_seven", square(5, 12, 40, 16, 7, 1, 3)),
      plain("axes_differ", tall),
      plain("volume", volume),
      plain("longest_kernel", longest),
      plain("too_long_a_kernel", too_long),
  });
}
CONVOY_STORAGE_TESTS(ConvEights, conv_cases_in_eights);

/// One to four channels in, filters in eights: first layers that tensor cores take in 16 bits.
std::vector<OpCase> first_layers() {
  ConvShape wide = square(2, 5, 1, 8, 3, 1, 1);  // rows in parts
  wide.in.w = 602;
  ConvShape wide_stem = square(2, 17, 3, 64, 7, 2, 3);  // as many columns as ImageNet's
  wide_stem.in.w = 224;
  ConvShape axes_differ = square(2, 14, 3, 40, 3, 1, 2);
  axes_differ.in.w = 22, axes_differ.r = 4, axes_differ.stride = {1, 3, 2}, axes_differ.dilation = {1, 2, 1};
  const auto plain = [](const std::string& name, const ConvShape& s, bool bias = false) {
    return conv_case("first_layer_" + name, s, bias, false);
  };
  return products_in_16_bits({
      plain("one_pixel", square(1, 2, 1, 8, 2, 1, 0)),
      plain("lenet", square(9, 28, 1, 32, 3, 1, 1), true),
      plain("resnet", square(5, 32, 3, 64, 3, 1, 1)),
      plain("airbench", square(5, 32, 3, 24, 2, 1, 0), true),
      plain("stem_7x7", square(3, 34, 3, 64, 7, 2, 3)),
      plain("stem_5x5", square(2, 20, 1, 48, 5, 2, 2), true),
      plain("stem_11x11", square(2, 48, 3, 64, 11, 4, 2), true),
      plain("patches_4x4", square(3, 64, 3, 40, 4, 4, 0)),
      plain("two_channels", square(3, 10, 2, 72, 3, 3, 1)),
      plain("four_channels", square(3, 11, 4, 136, 3, 1, 1), true),
      plain("one_by_one", square(3, 10, 3, 16, 1, 1, 2)),
      plain("wide", wide, true),
      plain("wide_stem", wide_stem),
      plain("axes_differ", axes_differ, true),
      plain("odd_rows", square(3, 9, 3, 64, 3, 1, 1)),
      plain("odd_filters", square(3, 10, 3, 20, 3, 1, 1), true),
      // Several tiles to each of a large GPU's blocks.
      plain("many_tiles", square(1500, 4, 3, 64, 3, 1, 1), true),
      plain("many_tiles_lenet", square(1500, 6, 1, 32, 3, 1, 1)),
      plain("many_tiles_stem", square(2000, 8, 3, 16, 7, 2, 3)),
  });
}
CONVOY_STORAGE_TESTS(ConvFirstLayer, first_layers);

INSTANTIATE_TEST_SUITE_P(ConvTf32, OpTest, ::testing::ValuesIn(tf32_quad_cases()),
                         [](const auto& instance) { return instance.param.name; });
INSTANTIATE_TEST_SUITE_P(ConvTf32Other, OpTest, ::testing::ValuesIn(tf32_other_cases()),
                         [](const auto& instance) { return instance.param.name; });

class ConvTf32Rounding : public ::testing::TestWithParam<OpCase> {};
INSTANTIATE_TEST_SUITE_P(ConvTf32, ConvTf32Rounding, ::testing::ValuesIn(tf32_quad_cases()),
                         [](const auto& instance) { return instance.param.name; });

/// On a device with TF32 the result is that of rounded operands up to the rounding of sums: operands are
/// rounded to nearest, not cut off, and everywhere.
TEST_P(ConvTf32Rounding, IsOfOperandsToNearest) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  if (!make_engine(EngineKind::cuda, ranks())->computes_in(Precision::tf32))
    GTEST_SKIP() << "no TF32 on this device";
  const OpCase& op = GetParam();
  const ConvShape& s = std::get<ConvForward>(op.calls[0]).shape;
  if (std::max({s.t, s.r, s.s}) > 10) GTEST_SKIP() << "computed in fp32";
  OpCase rounded = op;
  for (Variable& variable : rounded.variables) {
    Values values = variable.initial.values();
    for (double& value : values) {
      const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
      value = std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u);
    }
    variable.initial = std::move(values);
  }
  const std::vector<Values> expected = OpRunner(rounded, EngineKind::reference_f64).run();
  const std::vector<Values> actual = OpRunner(op, EngineKind::cuda).run();
  for (const std::size_t i : {std::size_t{2}, std::size_t{4}, std::size_t{5}}) {  // y, dx, dw
    expect_close(op.variables[i].name, expected[i], actual[i], DType::f32, 3e-5);
  }
}

}  // namespace
}  // namespace convoy::testing
