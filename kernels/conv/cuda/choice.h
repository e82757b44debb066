// Which kernels do a convolution on a GPU: the family, its tiles and the order of wgrad's sum follow from the
// call, the device and what was measured. Plain C++: tests and `convoy plan --gpu` reach it without a GPU.
// README.md has the families.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/device.h"
#include "kernels/conv/cuda/grouped/bundles.h"
#include "kernels/conv/cuda/plan.h"
#include "kernels/conv/cuda/tile_choice.h"
#include "kernels/fused.h"

namespace convoy {

enum class ConvPass : std::uint8_t { fprop, dgrad, wgrad };
const char* name_of(ConvPass pass);  ///< "conv.fprop": the plain call's

/// A family fixes the instruction, how operands are stored, and with both the bits of a result; its tiles
/// differ in speed alone.
enum class ConvFamily : std::uint8_t {
  scalar,          ///< FFMA, channels loaded one by one: any shape and alignment
  ffma,            ///< FFMA, f32 channels in fours
  tf32,            ///< mma.sync of sm_80, f32 channels in fours
  turing,          ///< mma.sync of sm_75, f16 channels in eights
  half,            ///< mma.sync of sm_80, 16-bit channels in eights
  hopper,          ///< wgmma of sm_90a, 16-bit channels in eights, the source as patches
  stem_ffma,       ///< FFMA, images of up to four channels
  stem_halo,       ///< mma.sync of sm_80, 16-bit images of up to four channels
  depthwise,       ///< FFMA, a filter per channel
  grouped_scalar,  ///< scalar, ffma, tf32, turing and half for convolutions with groups: several to a product
  grouped_ffma,
  grouped_tf32,
  grouped_turing,
  grouped_half,
};
const char* name_of(ConvFamily family);

/// A convolution call as the choice of kernels sees it.
struct ConvProblem {
  ConvPass pass;
  ConvShape shape;
  DType stored;  ///< of x, y, dx, dy and w
  Math math = Math::fp32;
  /// Bytes, up to 16, that the tensors' addresses are multiples of. fprop: x, w, y; dgrad: dy, w, dx; wgrad:
  /// x, dy, dw.
  std::array<int, 3> alignment{16, 16, 16};

  bool is_empty() const;  ///< no result, or zeros
};
ConvProblem problem_of(const ConvForward& call);
ConvProblem problem_of(const ConvActivation& call);
ConvProblem problem_of(const ConvStatistics& call);
ConvProblem problem_of(const ConvDgrad& call);
ConvProblem problem_of(const ConvWgrad& call);

struct ConvChoice {
  ConvFamily family;
  /// Index into tiles_of(family, pass), for each launch: a dgrad may take several (index/gather.h). Empty
  /// where the family has one tile.
  std::vector<std::size_t> tiles;
  WgradPlan sum;  ///< of wgrad by other families than the stems'; follows from shape, types and code alone
  Bundles bundles{};  ///< of the grouped families

  std::size_t tile(std::size_t launch = 0) const { return tiles.empty() ? 0 : tiles.at(launch); }
};
/// For problems that are not empty. `measured` tiles come before the cost model's.
ConvChoice choose(const ConvProblem& problem, const ConvDevice& device,
                  const TileChoices* measured = nullptr);

/// The tiles of a family that has several.
std::span<const TileShape> tiles_of(ConvFamily family, ConvPass pass);

/// A choice that a tuner can measure: a tile, remembered by `key`.
struct TuningProblem {
  std::string key;
  std::span<const TileShape> tiles;
};
/// Nothing where there is no work, or where the family has one tile.
std::optional<TuningProblem> tuning_problem(const ConvProblem& problem, const ConvDevice& device);

/// Bytes of wgrad's partial sums, zero where there is one sum; of fprop and dgrad, those of weights that a
/// grouped family spreads. They suffice for any alignment of the tensors.
std::int64_t conv_workspace_bytes(const ConvProblem& problem, const ConvDevice& device);

/// The tiles of a choice in words: "128x64, tile 4"; of several launches, joined by " + ". Empty where the
/// family has one.
std::string describe_tiles(const ConvChoice& choice, ConvPass pass);

}  // namespace convoy
