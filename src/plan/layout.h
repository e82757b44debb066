// Where everything that outlives a step is kept: the tensors that all plans of a run share.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "src/config/config.h"
#include "src/model/graph.h"

namespace convoy {

/// A constant tensor and its values, written once before the first step.
struct Constant {
  Tensor tensor;
  std::vector<double> values;
};

/// Parameters that begin to train together. Most runs have one stage, with all of them; train.freeze makes
/// more.
struct Stage {
  int epoch = 0;                    ///< how many epochs are before it
  std::int64_t begin = 0, end = 0;  ///< elements of Layout::all_parameters that begin to train
  std::int64_t first_step = 0;      ///< steps before it, known once the data set is
  std::int64_t first_parameter = 0, parameters = 0;  ///< of Layout::parameter_ends
};

struct Layout {
  DType real = DType::f32;     ///< parameters, gradients, statistics, losses
  DType compute = DType::f32;  ///< activations, and weights as products take them
  /// One per Graph::parameters. The blocks are laid out from the last layer to the first, the order in which
  /// backward fills gradients, so that a bucket is one contiguous slice; each begins at a multiple of
  /// parameter_alignment. Those that begin to train later stand behind the others, those that never train
  /// last: what trains in a stage is a prefix. Never trained ones have no gradient and no moments.
  std::vector<Tensor> parameters, gradients;
  Tensor all_parameters, all_gradients;
  std::vector<Stage> stages;  ///< at least one, in the order of their epochs
  std::vector<int>
      stage_of;  ///< of each parameter, the stage in which it begins to train; stages.size(): none
  Tensor votes;  ///< (2) right behind all_gradients: what ranks decide together (kernels/loss.h)
  std::vector<Tensor> batch_statistics;  ///< one per Graph::statistics, behind the votes: BatchNormMoments'
  /// All of that, which is summed over ranks, padded so that as many ranks as can compute together can cut it
  /// into equal slices. Arena::gradients holds `gradient_blocks` of them for the passes of a step, and as the
  /// last one room for what ranks exchange where train.reproducible_across_ranks asks for it.
  Tensor reduced_block;
  int gradient_blocks = 1;
  Tensor compressed_gradients;     ///< all_gradients in the 16 bits that ranks exchange; else absent
  Tensor compute_weights;          ///< all_parameters in the compute type; absent if that is the real type
  Tensor average;                  ///< the moving average of all_parameters, absent without train.ema
  Tensor average_compute_weights;  ///< its copy in the compute type, absent where that is the real type
  /// For fp16, clip_norm or on_nan: skip (kernels/loss_scale.h).
  Tensor loss_scale;
  std::vector<Tensor> moments;                  ///< blocks like all_parameters, as moments_of(optimizer.rule)
  std::vector<Tensor> statistics;               ///< one per Graph::statistics, slices of all_statistics
  Tensor all_statistics, all_batch_statistics;  ///< both laid out alike
  Tensor reports;                               ///< (report_slots,report_fields) f64 (core/step_state.h)
  Tensor train_metrics, validation_metrics;     ///< (3) f64: loss sum, correct, count
  Tensor hashes;  ///< (parameters and averages,hash_words) i32: what verification_plan() fills in
  Tensor images, labels, order;
  Tensor decay;  ///< one weight-decay factor per parameter_alignment elements
  /// (trained parameters) i32: runs of parameter_alignment elements up to the end of each, in the order of
  /// the block; absent unless the optimizer needs trust ratios.
  Tensor parameter_ends;
  Tensor rates;          ///< one factor of the learning rate for as many; absent without optimizer.groups
  Tensor class_weights;  ///< (classes) of the training loss, which the session writes; absent if all are 1
  Tensor zeros;          ///< as many as the widest BatchNorm has channels; absent without train.freeze
  Tensor statistic_momentum;  ///< one factor per parameter_alignment running averages
  Tensor scale, shift;        ///< (C): pixel / 255 * scale + shift
  std::vector<Constant> constants;
  ArenaSizes arenas{};  ///< bytes of the arenas above
};

/// Sizes of what a data set puts into arenas.
struct DataExtent {
  std::int64_t image_rows = 0;  ///< samples when resident, staged images otherwise
  std::int64_t samples = 0;
  std::int64_t order = 0;  ///< ids of training, validation and test
};

Layout make_layout(const Graph& graph, const Config& config, const DataExtent& data, DType real,
                   int gradient_blocks = 1);

/// The stage of a run's epoch, counted from 1.
int stage_of_epoch(const Layout& layout, int epoch);

/// The tensor at the same place of another block with the parameters' layout (gradients, a moment, the
/// compute copy).
Tensor same_place(const Tensor& parameter, const Tensor& block);
/// The same of the gradients' block number `block`.
Tensor in_block(const Layout& layout, Tensor of_first, int block);

}  // namespace convoy
