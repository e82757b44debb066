// Convolutions with groups: on every engine, in every precision, and against the convolutions without groups
// that they are made of.
#include <gtest/gtest.h>

#include "tests/kernels/conv_case.h"

namespace convoy::testing {
namespace {

ConvShape in_groups(int groups, ConvShape s) {
  s.groups = groups;
  return s;
}
ConvShape depthwise(int n, int size, int c, int kernel, int stride, int pad) {
  return in_groups(c, square(n, size, c, c, kernel, stride, pad));
}

/// kernel, stride, pad and dilation differ by axis.
ConvShape tall(int c, int k, int groups) {
  ConvShape s = square(2, 9, c, k, 3, 1, 0);
  s.in = {1, 11, 6, c}, s.r = 4, s.s = 2, s.stride = {1, 3, 1}, s.pad = {0, 2, 1}, s.dilation = {1, 1, 3};
  return in_groups(groups, s);
}
ConvShape volume(int c, int k, int groups) {
  ConvShape s = square(2, 6, c, k, 3, 1, 1);
  s.in = {5, 6, 7, c}, s.t = 3, s.stride = {2, 1, 2}, s.pad = {1, 1, 0}, s.dilation = {1, 2, 1};
  return in_groups(groups, s);
}
/// A volume whose slices do not meet.
ConvShape slices(int c) {
  ConvShape s = depthwise(2, 9, c, 3, 2, 1);
  s.in = {4, 9, 10, c};
  return s;
}

/// Small ones, whose gradients are compared with differences, too.
std::vector<OpCase> small_cases() {
  return {
      conv_case("two_groups", in_groups(2, square(2, 6, 4, 6, 3, 1, 1)), true, true),
      conv_case("three_groups_1x1", in_groups(3, square(2, 5, 6, 9, 1, 1, 0)), false, true),
      conv_case("stride_2", in_groups(2, square(2, 9, 6, 4, 3, 2, 1)), true, true),
      conv_case("filters_of_one_channel", in_groups(3, square(2, 7, 3, 6, 3, 1, 1)), true, true),
      conv_case("one_filter_each", in_groups(2, square(2, 7, 6, 2, 3, 1, 1)), true, true),
      conv_case("dilation_2", in_groups(2, square(2, 9, 4, 4, 3, 1, 2, 2)), true, true),
      conv_case("axes_differ", tall(4, 6, 2), true, true),
      conv_case("volume", volume(4, 2, 2), true, true),
      conv_case("depthwise_3x3", depthwise(2, 7, 3, 3, 1, 1), true, true),
      conv_case("depthwise_3x3_stride_2", depthwise(2, 8, 3, 3, 2, 1), false, true),
      conv_case("depthwise_5x5_stride_2", depthwise(1, 9, 4, 5, 2, 2), true, true),
      conv_case("depthwise_7x7", depthwise(1, 9, 4, 7, 1, 3), true, true),
      conv_case("depthwise_even_kernel", depthwise(2, 7, 5, 4, 1, 2), true, true),
      conv_case("depthwise_stride_3", depthwise(2, 11, 4, 3, 3, 1), true, true),
      conv_case("depthwise_pad_beyond_kernel", depthwise(2, 4, 4, 3, 1, 4), true, true),
      conv_case("depthwise_stride_beyond_kernel", depthwise(2, 8, 4, 1, 2, 0), true, true),
      conv_case("depthwise_axes_differ", tall(4, 4, 4), true, true),
      conv_case("depthwise_volume", volume(3, 3, 3), true, true),
      conv_case("depthwise_no_image", depthwise(0, 7, 8, 3, 1, 1), true, false),
      conv_case("no_image", in_groups(2, square(0, 6, 4, 6, 3, 1, 1)), true, false),
  };
}

/// Groups of as many channels as networks have them, and of other numbers; those that one product holds, and
/// not.
std::vector<OpCase> wide_cases(Math math) {
  const auto wide = [=](const std::string& name, const ConvShape& s, bool bias = false) {
    return conv_case(name, s, bias, false, math);
  };
  return {
      wide("resnext_4", in_groups(32, square(3, 15, 128, 128, 3, 1, 1))),
      wide("resnext_4_stride_2", in_groups(32, square(3, 14, 128, 128, 3, 2, 1)), true),
      wide("groups_of_8", in_groups(5, square(3, 9, 40, 40, 3, 1, 1)), true),
      wide("groups_of_16", in_groups(32, square(2, 7, 512, 512, 3, 1, 1))),
      wide("groups_of_24", in_groups(3, square(3, 9, 72, 72, 3, 2, 1)), true),
      wide("groups_of_80", in_groups(2, square(3, 8, 160, 160, 3, 1, 1)), true),
      wide("groups_of_6", in_groups(4, square(3, 9, 24, 24, 3, 1, 1)), true),
      wide("groups_of_5", in_groups(3, square(3, 9, 15, 15, 3, 1, 1)), true),
      wide("more_filters", in_groups(8, square(3, 9, 32, 64, 3, 1, 1)), true),
      wide("fewer_filters", in_groups(4, square(3, 9, 96, 32, 3, 1, 1)), true),
      wide("one_by_one", in_groups(4, square(5, 11, 64, 96, 1, 1, 0)), true),
      wide("shortcut_1x1", in_groups(2, square(5, 15, 64, 128, 1, 2, 0))),
      wide("filters_of_one_channel", in_groups(24, square(2, 9, 24, 48, 3, 1, 1)), true),
      wide("stride_2_dilation_3", in_groups(2, square(2, 12, 16, 48, 3, 2, 3, 3))),
      wide("axes_differ", tall(32, 48, 4), true),
      wide("volume", volume(16, 32, 4), true),
      wide("many_tiles", in_groups(4, square(33, 32, 32, 32, 1, 1, 0))),
      wide("one_pixel", in_groups(2, square(1, 1, 16, 16, 1, 1, 0))),
  };
}

/// Channels in whole vectors, which the kernels that work by strips take, and not; several blocks of
/// channels.
std::vector<OpCase> wide_depthwise_cases() {
  std::vector<OpCase> cases;
  for (const int kernel : {3, 5, 7}) {
    for (const int stride : {1, 2}) {
      for (const int size : {14, 23}) {
        const std::string name = fmt::format("depthwise_{0}x{0}_stride_{1}_{2}", kernel, stride, size);
        const int c = size == 14 ? 72 : 8;
        cases.push_back(
            conv_case(name, depthwise(3, size, c, kernel, stride, kernel / 2), stride == 1, false));
      }
    }
  }
  ConvShape flat = depthwise(3, 9, 16, 3, 1, 1);
  flat.in = {1, 3, 41, 16};
  ConvShape pads_differ = depthwise(2, 9, 24, 5, 2, 0);
  pads_differ.pad = {0, 1, 3}, pads_differ.in.w = 12;
  ConvShape tall = depthwise(2, 3, 8, 3, 1, 1);  // a strip wide, higher than a block of threads may be
  tall.in.h = 150;
  cases.push_back(conv_case("depthwise_flat", flat, true, false));
  cases.push_back(conv_case("depthwise_tall", tall, true, false));
  cases.push_back(conv_case("depthwise_pads_differ", pads_differ, true, false));
  cases.push_back(conv_case("depthwise_no_pad", depthwise(3, 12, 40, 3, 1, 0), true, false));
  cases.push_back(conv_case("depthwise_no_pad_stride_2", depthwise(3, 12, 40, 7, 2, 0), true, false));
  cases.push_back(conv_case("depthwise_pad_beyond_kernel", depthwise(2, 5, 16, 3, 1, 4), true, false));
  cases.push_back(conv_case("depthwise_one_pixel", depthwise(3, 1, 16, 3, 1, 1), true, false));
  cases.push_back(conv_case("depthwise_odd_channels", depthwise(3, 13, 67, 3, 1, 1), true, false));
  cases.push_back(conv_case("depthwise_fours", depthwise(3, 13, 20, 3, 2, 1), true, false));
  cases.push_back(conv_case("depthwise_slices", slices(16), true, false));
  cases.push_back(conv_case("depthwise_volume", volume(24, 24, 24), true, false));
  cases.push_back(conv_case("depthwise_many_rows", depthwise(40, 30, 8, 3, 1, 1), true, false));
  return cases;
}

std::vector<OpCase> joined(std::vector<OpCase> cases, std::vector<OpCase> more) {
  cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

std::vector<OpCase> grouped_cases() {
  return joined(joined(small_cases(), wide_cases(Math::fp32)), [] {
    std::vector<OpCase> cases = wide_depthwise_cases();
    for (OpCase& op : cases) op.name = "wide_" + op.name;
    return cases;
  }());
}
std::vector<OpCase> named_apart(std::vector<OpCase> cases) {
  for (std::size_t i = 0; i < cases.size(); ++i) cases[i].name = fmt::format("{}_{}", i, cases[i].name);
  return cases;
}
std::vector<OpCase> all_cases() {
  return named_apart(grouped_cases());
}
CONVOY_OP_TESTS(GroupedConv, all_cases);

std::vector<OpCase> all_cases_in_16_bits() {
  return products_in_16_bits(all_cases());
}
CONVOY_STORAGE_TESTS(GroupedConv, all_cases_in_16_bits);

std::vector<OpCase> tf32_cases() {
  std::vector<OpCase> cases = wide_cases(Math::tf32);
  for (OpCase& op : cases) op.name = "tf32_" + op.name, op.tolerance = tf32_tolerance;
  return cases;
}
INSTANTIATE_TEST_SUITE_P(GroupedConvTf32, OpTest, ::testing::ValuesIn(tf32_cases()),
                         [](const auto& instance) { return instance.param.name; });

/// Channels [first, first + count) of each of `all`, of a tensor whose last axis has that many.
Values part_of(const Values& values, std::int64_t all, std::int64_t first, std::int64_t count) {
  Values part;
  for (std::size_t pixel = 0; pixel < values.size(); pixel += static_cast<std::size_t>(all)) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(pixel) + first;
    part.insert(part.end(), from, from + count);
  }
  return part;
}

/// To the last bit: the definition is that of G convolutions side by side.
TEST(GroupedConv, IsAConvolutionPerGroup) {
  for (const ConvShape& s : {in_groups(2, square(2, 6, 4, 6, 3, 1, 1)), tall(6, 9, 3), volume(8, 4, 4),
                             depthwise(2, 7, 5, 3, 2, 1), in_groups(3, square(2, 7, 3, 6, 3, 1, 1))}) {
    const OpCase whole = conv_case("whole", s, true, false);
    const std::vector<Values> all = OpRunner(whole, EngineKind::reference_f64).run();
    const auto named = [&](const std::string& name) {
      const auto at = std::find_if(whole.variables.begin(), whole.variables.end(),
                                   [&](const Variable& v) { return v.name == name; });
      return all.at(static_cast<std::size_t>(at - whole.variables.begin()));
    };
    ConvShape alone = s;
    alone.groups = 1, alone.in.c = s.in.c / s.groups, alone.k = s.k / s.groups;
    for (int g = 0; g < s.groups; ++g) {
      const auto channels = [&](const char* name) {
        return part_of(named(name), s.in.c, g * alone.in.c, alone.in.c);
      };
      const auto filters = [&](const char* name) { return part_of(named(name), s.k, g * alone.k, alone.k); };
      const auto weights = [&](const char* name) {
        return part_of(named(name), s.weights(), g * alone.weights(), alone.weights());
      };
      OpCase op;
      op.name = "group";
      const Tensor x = op.input("x", channels("x")), w = op.input("w", weights("w")),
                   bias = op.input("bias", filters("bias")), dy = op.input("dy", filters("dy")),
                   y = op.result("y", s.n * alone.out().count()), dx = op.result("dx", x.count),
                   dw = op.result("dw", alone.weights());
      op.calls = {ConvForward{alone, x, w, bias, y}, ConvDgrad{alone, dy, w, dx},
                  ConvWgrad{alone, x, dy, dw}};
      const std::vector<Values> one = OpRunner(op, EngineKind::reference_f64).run();
      EXPECT_EQ(one[4], filters("y")) << s.describe();
      EXPECT_EQ(one[5], channels("dx")) << s.describe();
      EXPECT_EQ(one[6], weights("dw")) << s.describe();
    }
  }
}

TEST(GroupedConv, CountsTheProductsOfItsGroups) {
  const ConvShape s = in_groups(4, square(2, 6, 8, 12, 3, 1, 1));
  EXPECT_EQ(s.weights(), 12 * 9 * 2);
  EXPECT_EQ(s.flops(), 2 * 2 * 36 * s.weights());
  EXPECT_NE(s.describe().find("groups 4"), std::string::npos);
}

}  // namespace
}  // namespace convoy::testing
