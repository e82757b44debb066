#include "kernels/batchnorm.h"

#include "kernels/loss_scale.h"
#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

/// One rank that holds the whole batch: the forward chain, then the backward chain.
OpCase whole_batch_case(const std::string& name, const BatchNormShape& s, double mean_of_x = 0.3,
                        double tolerance = 1e-5) {
  OpCase op;
  op.name = name;
  op.tolerance = tolerance;
  const std::int64_t moments = std::int64_t{s.groups()} * s.c;
  const Tensor x = op.input("x", uniform(s.count(), mean_of_x - 1, mean_of_x + 1, 1));
  const Tensor gamma = op.input("gamma", uniform(s.c, 0.5, 1.5, 2));
  const Tensor beta = op.input("beta", uniform(s.c, -1, 1, 3));
  const Tensor batch_mean = op.result("batch mean", s.c), batch_var = op.result("batch variance", s.c);
  const Tensor sums = op.result("sums", 2 * moments, DType::f64);
  const Tensor mean = op.result("mean", moments);
  const Tensor inv_std = op.result("inv_std", moments);
  const Tensor y = op.result("y", s.count());
  const Tensor dy = op.project(y, "dy");
  const Tensor gradient_sums = op.result("gradient sums", 2 * moments, DType::f64);
  const Tensor dgamma = op.result("dgamma", s.c);
  const Tensor dbeta = op.result("dbeta", s.c);
  const Tensor dx = op.result("dx", s.count());
  op.calls = {BatchNormStatistics{s, x, sums},
              BatchNormMoments{s, 1.0 / std::max(s.groups(), 1), sums, mean, inv_std, batch_mean, batch_var},
              BatchNormForward{s, x, mean, inv_std, gamma, beta, y},
              BatchNormReduce{s, x, dy, mean, inv_std, gradient_sums, dgamma, dbeta},
              BatchNormBackward{s, x, dy, mean, inv_std, gamma, gradient_sums, dx}};
  if (s.count() > 0 && s.count() < 3000) op.gradients = {{x, dx}, {gamma, dgamma}, {beta, dbeta}};
  return op;
}

/// 150 running averages, 64 of which share a momentum; with a loss scale that says to skip, nothing moves.
OpCase running_case(const std::string& name, bool with_scale, bool skips) {
  OpCase op;
  op.name = name;
  const std::int64_t count = 150;
  BatchNormRunning call;
  call.batch = op.input("batch", uniform(count, -1, 1, 1));
  call.running = op.input("running", uniform(count, 0.5, 2, 2));
  call.momentum = op.input("momentum", {0.1, 0.5, 1.0});
  if (with_scale) {
    Values state(loss_scale::fields, 0.0);
    state[loss_scale::skip] = skips ? 1 : 0;
    call.loss_scale = op.input("loss scale", state);
  }
  op.calls = {call};
  return op;
}

/// One rank of several: what its images contribute, and its images' results from sums that others completed.
OpCase shard_case(const std::string& name, const BatchNormShape& s) {
  OpCase op;
  op.name = name;
  const std::int64_t moments = std::int64_t{s.groups()} * s.c;
  Values complete;  // (groups,2,C): a plausible sum, and a sum of squares above its square / M
  for (int g = 0; g < s.groups(); ++g) {
    const double m = static_cast<double>(s.images_in(g) * s.pixels);
    const Values means = uniform(s.c, -1, 1, 10 + static_cast<std::uint64_t>(g)).values();
    for (int c = 0; c < s.c; ++c) complete.push_back(m * means[static_cast<std::size_t>(c)]);
    for (int c = 0; c < s.c; ++c) {
      const double average = means[static_cast<std::size_t>(c)];
      complete.push_back(m * (average * average + 0.5));
    }
  }
  const Tensor x = op.input("x", uniform(s.count(), -1, 1, 1));
  const Tensor dy = op.input("dy", uniform(s.count(), -1, 1, 2));
  const Tensor gamma = op.input("gamma", uniform(s.c, 0.5, 1.5, 3));
  const Tensor beta = op.input("beta", uniform(s.c, -1, 1, 4));
  const Tensor batch_mean = op.result("batch mean", s.c), batch_var = op.result("batch variance", s.c);
  const Tensor complete_sums = op.input("complete sums", complete, DType::f64);
  const Tensor sums = op.result("sums", 2 * moments, DType::f64);
  const Tensor mean = op.result("mean", moments);
  const Tensor inv_std = op.result("inv_std", moments);
  const Tensor y = op.result("y", s.count());
  const Tensor gradient_sums = op.result("gradient sums", 2 * moments, DType::f64);
  const Tensor dgamma = op.result("dgamma", s.c);
  const Tensor dbeta = op.result("dbeta", s.c);
  const Tensor dx = op.result("dx", s.count());
  op.calls = {BatchNormStatistics{s, x, sums},
              BatchNormMoments{s, 0.25, complete_sums, mean, inv_std, batch_mean, batch_var},
              BatchNormForward{s, x, mean, inv_std, gamma, beta, y},
              BatchNormReduce{s, x, dy, mean, inv_std, gradient_sums, dgamma, dbeta},
              BatchNormBackward{s, x, dy, mean, inv_std, gamma, complete_sums, dx}};
  return op;
}

OpCase inference_case(const std::string& name, const BatchNormShape& s) {
  OpCase op;
  op.name = name;
  const Tensor x = op.input("x", uniform(s.count(), -1, 1, 1));
  const Tensor mean = op.input("running mean", uniform(s.c, -1, 1, 2));
  const Tensor variance = op.input("running variance", uniform(s.c, 0.01, 2, 3));
  const Tensor gamma = op.input("gamma", uniform(s.c, 0.5, 1.5, 4));
  const Tensor beta = op.input("beta", uniform(s.c, -1, 1, 5));
  op.calls = {BatchNormInference{s, x, mean, variance, gamma, beta, op.result("y", s.count())}};
  return op;
}

BatchNormShape whole(int n, int group, std::int64_t pixels, int c) {
  return {n, 0, n, group, pixels, c};
}

std::vector<OpCase> batchnorm_cases() {
  return {
      whole_batch_case("one_group", whole(6, 6, 9, 3)),
      whole_batch_case("groups", whole(6, 2, 9, 3)),
      whole_batch_case("short_last_group", whole(7, 3, 4, 5)),
      whole_batch_case("group_beyond_batch", whole(3, 8, 12, 2)),
      whole_batch_case("one_image_groups", whole(3, 1, 25, 4)),
      whole_batch_case("one_channel", whole(4, 4, 49, 1)),
      whole_batch_case("no_pixels_axis", whole(16, 16, 1, 7)),
      whole_batch_case("odd_channels", whole(3, 3, 10, 65)),
      whole_batch_case("eights", whole(7, 3, 11, 24)),
      whole_batch_case("large", whole(33, 33, 784, 16)),
      whole_batch_case("several_steps", whole(257, 1, 37, 136)),  // so many groups that each has one block
      whole_batch_case("large_groups", whole(40, 16, 196, 67)),
      // Squares cancel: sums kept in float would be off by a thousandth.
      whole_batch_case("mean_far_from_zero", whole(16, 16, 100, 5), 100.0, 1e-4),
      shard_case("shard_in_the_middle", {3, 2, 8, 3, 6, 4}),
      shard_case("shard_at_the_end", {4, 6, 10, 4, 15, 3}),
      shard_case("shard_within_a_group", {2, 3, 16, 8, 9, 5}),
      shard_case("shard_without_images", {0, 4, 4, 2, 9, 3}),
      shard_case("shard_of_eights", {21, 11, 64, 8, 225, 40}),
      shard_case("shard_large", {21, 11, 64, 8, 225, 33}),
      whole_batch_case("no_image", whole(0, 1, 9, 3)),
      running_case("running", false, false),
      running_case("running_scaled", true, false),
      running_case("running_skipped", true, true),
      inference_case("inference", whole(3, 3, 25, 7)),
      inference_case("inference_one_channel", whole(5, 5, 49, 1)),
      inference_case("inference_no_image", whole(0, 1, 25, 7)),
      inference_case("inference_large", whole(32, 32, 784, 16)),
  };
}

CONVOY_OP_TESTS(BatchNorm, batchnorm_cases);

/// y and dx are rounded once, and no other call reads them.
std::vector<OpCase> batchnorm_cases_in_16_bits() {
  return in_16_bits(batchnorm_cases(), {"x", "y", "dy", "dx"}, 1);
}
CONVOY_STORAGE_TESTS(BatchNorm, batchnorm_cases_in_16_bits);

}  // namespace
}  // namespace convoy::testing
