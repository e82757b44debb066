#include "kernels/conv/cuda/choice.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/conv/cuda/depthwise/plan.h"
#include "kernels/conv/cuda/grouped/tiles.h"
#include "kernels/conv/cuda/index/gather.h"
#include "kernels/conv/cuda/stem/halo.h"
#include "kernels/conv/cuda/wgmma/layout.h"

namespace convoy {

const char* name_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::fprop:
      return ConvForward::name;
    case ConvPass::dgrad:
      return ConvDgrad::name;
    case ConvPass::wgrad:
      return ConvWgrad::name;
  }
  return "?";
}

const char* name_of(ConvFamily family) {
  switch (family) {
    case ConvFamily::scalar:
      return "scalar";
    case ConvFamily::ffma:
      return "ffma";
    case ConvFamily::tf32:
      return "tf32";
    case ConvFamily::turing:
      return "turing";
    case ConvFamily::half:
      return "half";
    case ConvFamily::hopper:
      return "hopper";
    case ConvFamily::stem_ffma:
      return "stem_ffma";
    case ConvFamily::stem_halo:
      return "stem_halo";
    case ConvFamily::depthwise:
      return "depthwise";
    case ConvFamily::grouped_scalar:
      return "grouped_scalar";
    case ConvFamily::grouped_ffma:
      return "grouped_ffma";
    case ConvFamily::grouped_tf32:
      return "grouped_tf32";
    case ConvFamily::grouped_turing:
      return "grouped_turing";
    case ConvFamily::grouped_half:
      return "grouped_half";
  }
  return "?";
}

namespace {

/// Of a tensor; arenas begin at multiples of 256 bytes.
int alignment_of(const Tensor& tensor) {
  return static_cast<int>(std::gcd(tensor.offset, std::int64_t{16}));
}

}  // namespace

bool ConvProblem::is_empty() const {
  switch (pass) {
    case ConvPass::fprop:
      return shape.n * shape.out().count() == 0;
    case ConvPass::dgrad:
      return shape.n * shape.in.count() == 0;
    case ConvPass::wgrad:
      return shape.n * shape.out().pixels() == 0;
  }
  return true;
}

namespace {

/// The type is that of the first operand.
template <class Call>
ConvProblem problem_with(ConvPass pass, const Call& call, const Tensor& first, const Tensor& second,
                         const Tensor& result) {
  return {pass,
          call.shape,
          first.dtype,
          call.math,
          {alignment_of(first), alignment_of(second), alignment_of(result)}};
}

}  // namespace

ConvProblem problem_of(const ConvForward& call) {
  return problem_with(ConvPass::fprop, call, call.x, call.w, call.y);
}
ConvProblem problem_of(const ConvActivation& call) {
  return problem_of(call.plain);
}
ConvProblem problem_of(const ConvStatistics& call) {
  return problem_of(call.plain);
}
ConvProblem problem_of(const ConvDgrad& call) {
  return problem_with(ConvPass::dgrad, call, call.dy, call.w, call.dx);
}
ConvProblem problem_of(const ConvWgrad& call) {
  return problem_with(ConvPass::wgrad, call, call.x, call.dy, call.dw);
}

namespace {

bool stored_in_16_bits(const ConvProblem& problem) {
  return problem.stored == DType::f16 || problem.stored == DType::bf16;
}

/// Whether stem/ has kernels for it.
bool is_stem(const ConvProblem& problem) {
  return problem.pass != ConvPass::dgrad && problem.shape.groups == 1 && is_first_layer(problem.shape);
}

/// Elements of x that the halo kernels copy at once, where they serve the problem.
std::optional<int> halo_unit(const ConvProblem& problem, const ConvDevice& device) {
  if (!stored_in_16_bits(problem) || !device.tensor_core_code) return std::nullopt;
  if (problem.pass == ConvPass::fprop) {
    const std::optional<HaloFprop> plan = plan_halo_fprop(problem.shape);
    return plan ? std::optional(plan->conv.unit) : std::nullopt;
  }
  const std::optional<HaloWgrad> plan = plan_halo_wgrad(problem.shape);
  return plan ? std::optional(plan->conv.unit) : std::nullopt;
}

ConvFamily stem_family(const ConvProblem& problem, const ConvDevice& device) {
  const std::optional<int> unit = halo_unit(problem, device);
  if (!unit) return ConvFamily::stem_ffma;
  const int source = problem.alignment[0],
            pixels = problem.alignment[problem.pass == ConvPass::fprop ? 2 : 1];
  return source % (2 * *unit) == 0 && pixels % 16 == 0 ? ConvFamily::stem_halo : ConvFamily::stem_ffma;
}

bool patches_suit(const ConvProblem& problem) {
  switch (problem.pass) {
    case ConvPass::fprop:
      return patches_suit_fprop(problem.shape);
    case ConvPass::dgrad:
      return patches_suit_dgrad(problem.shape);
    case ConvPass::wgrad:
      return patches_suit_wgrad(problem.shape);
  }
  return false;
}

/// Whether pixels' and taps' places fit the masks of kernels on tensor cores (MaskedGather).
bool math_fits(const ConvShape& s) {
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  return std::max({s.t, s.r, s.s}) <= most_masked_taps && s.n * s.in.count() <= most &&
         s.n * s.out().count() <= most;
}

/// A family for convolutions with groups, and how many of them are in a product.
struct GroupedFamily {
  ConvFamily family;
  Bundles bundles;
};

/// Where operands are aligned.
GroupedFamily aligned_grouped_family(const ConvProblem& problem, const ConvDevice& device) {
  const ConvShape& s = problem.shape;
  const Bundles each = bundles_of(s, 1);
  const GroupedFamily scalar{ConvFamily::grouped_scalar, each};
  const auto on_tensor_cores = [&](ConvFamily family, int run) -> std::optional<GroupedFamily> {
    const std::optional<Bundles> bundles = math_fits(s) ? bundles_for(s, run) : std::nullopt;
    return bundles ? std::optional(GroupedFamily{family, *bundles}) : std::nullopt;
  };
  if (problem.stored == DType::f32) {
    if (problem.math == Math::tf32 && device.tensor_core_code) {
      if (const auto found = on_tensor_cores(ConvFamily::grouped_tf32, 4)) return *found;
    }
    const bool fours = each.channels % 4 == 0 && each.filters % 4 == 0;
    return fours ? GroupedFamily{ConvFamily::grouped_ffma, each} : scalar;
  }
  if (device.tensor_core_code) return on_tensor_cores(ConvFamily::grouped_half, 8).value_or(scalar);
  if (problem.stored != DType::f16) return scalar;
  return on_tensor_cores(ConvFamily::grouped_turing, 8).value_or(scalar);
}

/// Of a product of matrices whose operands are aligned.
ConvFamily aligned_family(const ConvProblem& problem, const ConvDevice& device) {
  const ConvShape& s = problem.shape;
  const auto channels_in = [&](int run) { return s.in.c % run == 0 && s.k % run == 0; };
  switch (problem.stored) {
    case DType::f32:
      if (!channels_in(4)) return ConvFamily::scalar;
      if (problem.math == Math::tf32 && math_fits(s) && device.tensor_core_code) return ConvFamily::tf32;
      return ConvFamily::ffma;
    case DType::f16:
    case DType::bf16:
      if (!channels_in(8) || !math_fits(s)) return ConvFamily::scalar;
      if (!device.tensor_core_code)
        return problem.stored == DType::f16 ? ConvFamily::turing : ConvFamily::scalar;
      return device.warpgroups && patches_suit(problem) ? ConvFamily::hopper : ConvFamily::half;
    default:
      fail("internal error: a convolution of {}", name_of(problem.stored));
  }
}

bool is_aligned(const ConvProblem& problem) {
  return std::all_of(problem.alignment.begin(), problem.alignment.end(),
                     [](int bytes) { return bytes % 16 == 0; });
}

constexpr MathUnit grouped_ffma_cores{grouped_ffma_tiles, ffma_cores.fma_per_cycle, ffma_cores.step},
    grouped_tf32_tensor_cores{grouped_tf32_tiles, tf32_tensor_cores.fma_per_cycle, tf32_tensor_cores.step},
    grouped_turing_tensor_cores{grouped_turing_tiles, turing_tensor_cores.fma_per_cycle,
                                turing_tensor_cores.step},
    grouped_half_tensor_cores{grouped_half_tiles, half_tensor_cores.fma_per_cycle, half_tensor_cores.step};

/// Of the families that have several tiles, and of scalar, whose wgrad is planned like ffma's.
const MathUnit& unit_of(ConvFamily family, ConvPass pass) {
  switch (family) {
    case ConvFamily::scalar:
    case ConvFamily::ffma:
      return ffma_cores;
    case ConvFamily::tf32:
      return tf32_tensor_cores;
    case ConvFamily::turing:
      return turing_tensor_cores;
    case ConvFamily::half:
      return half_tensor_cores;
    case ConvFamily::hopper:
      return pass == ConvPass::wgrad ? wgrad_warpgroups : warpgroups;
    case ConvFamily::grouped_scalar:
    case ConvFamily::grouped_ffma:
      return grouped_ffma_cores;
    case ConvFamily::grouped_tf32:
      return grouped_tf32_tensor_cores;
    case ConvFamily::grouped_turing:
      return grouped_turing_tensor_cores;
    case ConvFamily::grouped_half:
      return grouped_half_tensor_cores;
    case ConvFamily::stem_ffma:
    case ConvFamily::stem_halo:
    case ConvFamily::depthwise:
      break;
  }
  fail("internal error: {} has its own plan", name_of(family));
}

WgradPlan plan_sum(const ConvProblem& problem, ConvFamily family) {
  return family == ConvFamily::hopper ? plan_patch_wgrad(problem.shape)
                                      : plan_wgrad(problem.shape, unit_of(family, problem.pass));
}

std::string key_of(const ConvProblem& problem, ConvFamily family, const WgradPlan& sum) {
  return tile_key(name_of(problem.pass), name_of(family), problem.stored, problem.shape, sum.splits);
}

/// out (m,n) summed over k: what a launch computes.
struct ProductExtent {
  std::int64_t m, n, k;
};
std::vector<ProductExtent> launches_of(const ConvProblem& problem) {
  const ConvShape& s = problem.shape;
  const std::int64_t pixels = s.n * s.out().pixels(), length = s.taps() * s.in.c;
  if (problem.pass == ConvPass::fprop) return {{pixels, s.k, length}};
  if (problem.pass == ConvPass::wgrad) return {{s.k, length, pixels}};
  std::vector<ProductExtent> launches;
  for (const DgradLaunch& launch : dgrad_launches(dgrad_classes<char>(s, nullptr)))
    launches.push_back({launch.rows, s.in.c, launch.columns});
  return launches;
}

/// The measured tile, where it fits; else, of those that fit, the first from wgrad's own on.
std::size_t hopper_wgrad_tile(const ConvShape& shape, std::optional<std::size_t> measured, const Gpu& gpu) {
  const auto fits_device = [&](std::size_t tile) {
    return wgrad_layout(shape, patch_wgrad_kernels[tile]).total <= gpu.shared_bytes_per_block;
  };
  if (measured && fits_device(*measured)) return *measured;
  std::size_t tile = wgrad_tile(shape);
  while (tile < patch_wgrad_kernels.size() && !fits_device(tile)) ++tile;
  check(tile < patch_wgrad_kernels.size(), "internal error: a convolution whose patches fit no tile");
  return tile;
}

/// The measured tile of a fprop or dgrad, where it fits; else, of those that fit, the cost model's.
std::size_t hopper_tile(const ConvProblem& problem, const ProductExtent& extent,
                        std::optional<std::size_t> measured, const Gpu& gpu) {
  const auto fits_device = [&](const TileShape& tile) {
    const PatchLayout layout = problem.pass == ConvPass::fprop ? fprop_layout(problem.shape, tile)
                                                               : dgrad_layout(problem.shape, tile);
    return layout.total <= gpu.shared_bytes_per_block;
  };
  if (measured && fits_device(patch_tiles[*measured])) return *measured;
  const std::size_t tile = pick_tile(warpgroups, extent.m, extent.n, extent.k, 1, gpu, fits_device);
  check(fits_device(patch_tiles[tile]), "internal error: a convolution whose patches fit no tile");
  return tile;
}

std::size_t tile_for(const ConvProblem& problem, ConvFamily family, const ProductExtent& extent, int splits,
                     std::optional<std::size_t> measured, const Gpu& gpu) {
  if (family != ConvFamily::hopper) {
    return measured ? *measured
                    : pick_tile(unit_of(family, problem.pass), extent.m, extent.n, extent.k, splits, gpu);
  }
  return problem.pass == ConvPass::wgrad ? hopper_wgrad_tile(problem.shape, measured, gpu)
                                         : hopper_tile(problem, extent, measured, gpu);
}

/// The bundles' products side by side, as one that is longer: where a tile is picked, only their number
/// counts.
std::vector<ProductExtent> launches_of(const ConvProblem& problem, const Bundles& bundles) {
  ConvProblem alone = problem;
  alone.shape = bundles.alone(problem.shape);
  std::vector<ProductExtent> launches = launches_of(alone);
  for (ProductExtent& launch : launches)
    (problem.pass == ConvPass::wgrad ? launch.n : launch.m) *= bundles.count;
  return launches;
}

WgradPlan plan_grouped_sum(const ConvShape& shape, const GroupedFamily& grouped) {
  const MathUnit& unit = unit_of(grouped.family, ConvPass::wgrad);
  const Bundles& bundles = grouped.bundles;
  const std::int64_t pixels = shape.n * shape.out().pixels(),
                     columns = shape.taps() * bundles.channels * bundles.count;
  return cheapest_splits(shape, unit.step, 512, [&](int splits, std::int64_t) {
    const std::size_t tile = pick_tile(unit, bundles.filters, columns, pixels, splits, reference_gpu);
    return gemm_cycles(unit, unit.tiles[tile], bundles.filters, columns, pixels, splits, reference_gpu);
  });
}

ConvChoice choose_grouped(const ConvProblem& problem, const ConvDevice& device) {
  const ConvShape& s = problem.shape;
  const bool wgrad = problem.pass == ConvPass::wgrad;
  if (s.is_depthwise())
    return {ConvFamily::depthwise, {}, wgrad ? plan_depthwise_wgrad(s, problem.stored) : WgradPlan{}};
  const GroupedFamily aligned = aligned_grouped_family(problem, device);
  ConvChoice choice{aligned.family, {}, wgrad ? plan_grouped_sum(s, aligned) : WgradPlan{}, aligned.bundles};
  if (!is_aligned(problem)) choice.family = ConvFamily::grouped_scalar, choice.bundles = bundles_of(s, 1);
  if (choice.family == ConvFamily::grouped_scalar) return choice;
  const MathUnit& unit = unit_of(choice.family, problem.pass);
  for (const ProductExtent& extent : launches_of(problem, choice.bundles))
    choice.tiles.push_back(pick_tile(unit, extent.m, extent.n, extent.k, choice.sum.splits, device.gpu));
  return choice;
}

std::int64_t grouped_workspace_bytes(const ConvProblem& problem, const ConvDevice& device) {
  const ConvShape& s = problem.shape;
  const ConvChoice choice = choose_grouped(problem, device);
  const Bundles bundles = s.is_depthwise() ? Bundles{} : aligned_grouped_family(problem, device).bundles;
  const std::int64_t weights = bundles.pads_weights() ? bundles.padded_weights(s) : s.weights();
  if (problem.pass != ConvPass::wgrad) return bundles.pads_weights() ? weights * size_of(problem.stored) : 0;
  const bool direct = choice.sum.splits == 1 && !bundles.pads_weights();
  return direct ? 0 : choice.sum.splits * weights * std::int64_t{sizeof(float)};
}

}  // namespace

std::span<const TileShape> tiles_of(ConvFamily family, ConvPass pass) {
  return unit_of(family, pass).tiles;
}

ConvChoice choose(const ConvProblem& problem, const ConvDevice& device, const TileChoices* measured) {
  if (problem.shape.groups != 1) return choose_grouped(problem, device);
  if (is_stem(problem)) return {stem_family(problem, device), {}, {}};
  const ConvFamily aligned = aligned_family(problem, device);
  ConvChoice choice{is_aligned(problem) ? aligned : ConvFamily::scalar, {}, {}};
  if (problem.pass == ConvPass::wgrad) choice.sum = plan_sum(problem, aligned);
  if (choice.family == ConvFamily::scalar) return choice;
  std::optional<std::size_t> known;
  if (measured != nullptr)
    known = measured_tile(*measured, key_of(problem, choice.family, choice.sum),
                          tiles_of(choice.family, problem.pass), device.gpu);
  for (const ProductExtent& extent : launches_of(problem))
    choice.tiles.push_back(tile_for(problem, choice.family, extent, choice.sum.splits, known, device.gpu));
  return choice;
}

std::optional<TuningProblem> tuning_problem(const ConvProblem& problem, const ConvDevice& device) {
  if (problem.is_empty() || problem.shape.groups != 1 || is_stem(problem) || !is_aligned(problem))
    return std::nullopt;
  const ConvFamily family = aligned_family(problem, device);
  if (family == ConvFamily::scalar) return std::nullopt;
  const WgradPlan sum = problem.pass == ConvPass::wgrad ? plan_sum(problem, family) : WgradPlan{};
  return TuningProblem{key_of(problem, family, sum), tiles_of(family, problem.pass)};
}

std::int64_t conv_workspace_bytes(const ConvProblem& problem, const ConvDevice& device) {
  if (problem.is_empty()) return 0;
  if (problem.shape.groups != 1) return grouped_workspace_bytes(problem, device);
  if (problem.pass != ConvPass::wgrad) return 0;
  int splits = 1;
  if (is_stem(problem)) {
    splits = plan_first_layer_wgrad(problem.shape).splits;
    if (halo_unit(problem, device)) splits = std::max(splits, plan_halo_wgrad(problem.shape)->splits);
  } else {
    splits = plan_sum(problem, aligned_family(problem, device)).splits;
  }
  return splits == 1 ? 0 : splits * problem.shape.weights() * std::int64_t{sizeof(float)};
}

std::string describe_tiles(const ConvChoice& choice, ConvPass pass) {
  std::string text;
  for (const std::size_t tile : choice.tiles) {
    const TileShape& shape = tiles_of(choice.family, pass)[tile];
    text += fmt::format("{}{}x{}, tile {}", text.empty() ? "" : " + ", shape.m, shape.n, tile);
  }
  return text;
}

}  // namespace convoy
