#include "src/session/blend.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace convoy {
namespace {

/// Draws of a step: its own numbers, then the tries of draw_beta.
constexpr std::uint64_t draws_per_step = std::uint64_t{1} << 32;

/// In (0, 1).
double open_uniform(std::uint32_t word) {
  return (word + 0.5) * 0x1p-32;
}

Blend cut(double lambda, const FeatureShape& image, const Random4& draw) {
  const double side = std::sqrt(1 - lambda);
  const auto height = static_cast<std::int32_t>(side * image.h),
             width = static_cast<std::int32_t>(side * image.w);
  const auto center = [](std::uint32_t word, int length) {
    return static_cast<std::int32_t>(uniform_below(word, static_cast<std::uint32_t>(length)));
  };
  const std::int32_t h = center(draw.v[1], image.h), w = center(draw.v[2], image.w);
  Blend blend;
  blend.own = 0;
  blend.top = std::max(h - height / 2, 0), blend.bottom = std::min(h + height / 2, image.h);
  blend.left = std::max(w - width / 2, 0), blend.right = std::min(w + width / 2, image.w);
  const double box = double(blend.bottom - blend.top) * (blend.right - blend.left);
  blend.share = static_cast<float>(1 - box / (double(image.h) * image.w));
  return blend;
}

}  // namespace

double draw_beta(double alpha, std::uint64_t seed, std::uint32_t stream, std::uint64_t index) {
  for (;; ++index) {
    const Random4 draw = random4(seed, Purpose::blend, stream, index);
    const double x = std::pow(open_uniform(draw.v[0]), 1 / alpha);
    const double y = std::pow(open_uniform(draw.v[1]), 1 / alpha);
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}

Blend draw_blend(const DataConfig& data, const FeatureShape& image, const StepState& state) {
  const auto stream = static_cast<std::uint32_t>(state.epoch);
  const std::uint64_t index = static_cast<std::uint64_t>(state.first) * draws_per_step;
  const Random4 draw = random4(state.seed, Purpose::blend, stream, index);
  const bool cuts = data.mixup <= 0 || (data.cutmix > 0 && (draw.v[0] >> 31) != 0);
  const double lambda = draw_beta(cuts ? data.cutmix : data.mixup, state.seed, stream, index + 1);
  if (cuts) return cut(lambda, image, draw);
  const auto own = static_cast<float>(lambda);
  return {own, own, 0, 0, image.h, image.w};
}

}  // namespace convoy
