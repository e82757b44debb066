// What a YAML file says, as plain structs. After parsing nobody reads a string key or a YAML node again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/mark.h"
#include "core/shape.h"
#include "kernels/augment.h"
#include "kernels/optimizers/all.h"
#include "kernels/retouch.h"
#include "src/data/sets/all.h"
#include "src/layers/all.h"

namespace convoy {

/// What `source: synthetic` makes: noise with random labels. The defaults suit a network for ImageNet.
struct SyntheticConfig {
  std::vector<int> image{3, 224, 224};  ///< C,H,W or C,D,H,W
  int classes = 1000;
  int train = 2560, test = 512;  ///< images
};

/// `augment: [{random_resized_crop: {scale, ratio}}]` of streamed sources: a part of this share of the
/// image's area and this width over height is resized to the network's input (Szegedy et al., "Going Deeper
/// with Convolutions", CVPR 2015).
struct RandomResizedCrop {
  float min_scale = 0, max_scale = 0;  ///< 0: none; the middle is taken as in validation
  float min_ratio = 3.0f / 4, max_ratio = 4.0f / 3;
};

struct DataConfig {
  Source source = Source::digits;
  std::string path;  ///< folder of the files, for sources that have them; of packed the file
  SyntheticConfig synthetic;
  std::vector<float> mean, std;  ///< per channel (or one for all), of pixels scaled to [0,1]; default 0 and 1
  int crop_pad = 0;              ///< augment: [{crop: {pad, mode}}]
  PadMode crop_mode = PadMode::zero;
  Flip flip = Flip::none;       ///< augment: [{flip: horizontal | vertical | both}]
  ColorJitter jitter;           ///< augment: [{color_jitter: {brightness, contrast, saturation, hue}}]
  RandomErasing erasing;        ///< augment: [{random_erasing: {probability, area, ratio}}]
  float mixup = 0, cutmix = 0;  ///< augment: [{mixup: alpha}, {cutmix: alpha}]; 0: off
  RandomResizedCrop resized_crop;
  std::vector<PictureOperation> operations;  ///< augment: [trivial_augment, rotate: 10, ...], in their order
  int resize = 0;   ///< of streamed sources: the shorter side before the middle is cut out; 0: 8/7 of input's
  int max_bad = 0;  ///< broken images that are replaced by others of their class
  std::vector<int> input;  ///< model.input, which tells streamed sources their size; not a key
  /// 0: the images that the source sets apart ("validation: test"); else a share of the training set.
  double validation_fraction = 0;
  /// auto: images that the source sets apart for a test, and that validation does not take, are measured on
  /// at the end.
  enum class Test { automatic, none } test = Test::automatic;
  enum class Resident { automatic, yes, no } resident = Resident::automatic;  ///< auto | true | false
  bool balance = false;  ///< epochs show every class alike (src/data/epoch_order.h)
  Mark mark;

  /// Whether training blends images with partners.
  bool blends() const { return mixup > 0 || cutmix > 0; }
  bool augments() const {
    return crop_pad > 0 || flip != Flip::none || !operations.empty() || jitter.any() ||
           erasing.probability > 0 || blends();
  }
};
struct ModelConfig {
  std::vector<int> input;  ///< C,H,W or C,D,H,W
  std::vector<LayerConfig> layers;
  bool spare_scores = false;  ///< the last layer may give more scores than there are classes
  std::string init;  ///< a file of weights to begin with (src/checkpoint/weights_file.h); empty: none
  Mark mark;
};

/// fp64: the reference engine only. CUDA only: tf32, convolutions and linear layers multiply operands rounded
/// to TF32; fp16 and bf16, activations and compute copies of the weights are stored in 16 bits. Master
/// weights, sums and the optimizer are fp32 in either case.
enum class Precision { fp32, tf32, fp16, bf16, fp64 };
constexpr bool needs_cuda(Precision precision) {
  return precision != Precision::fp32 && precision != Precision::fp64;
}
constexpr const char* name_of(Precision precision) {
  constexpr const char* names[] = {"fp32", "tf32", "fp16", "bf16", "fp64"};
  return names[static_cast<int>(precision)];
}
struct EarlyStopConfig {
  enum class Metric { val_loss, val_accuracy } metric = Metric::val_loss;
  int patience = 5;  ///< epochs without improvement
};
/// `train.freeze`: parameters that are left as they are, by a pattern of their names (src/model/patterns.h).
struct FreezeConfig {
  std::string match;
  int epochs = 0;  ///< for so many, then they train; 0: for all
  Mark mark;
};
/// `train.loss: cross_entropy | focal | {focal: {gamma}}` (kernels/loss.h).
struct LossConfig {
  float gamma = 0;  ///< of the focal loss; 0: cross-entropy
};
/// `train.class_weights: balanced | [one per class]` (src/session/class_weights.h).
struct ClassWeights {
  bool balanced = false;
  std::vector<float> values;  ///< (classes); none where they are balanced or all 1
  Mark mark;
  bool any() const { return balanced || !values.empty(); }
};
struct TrainConfig {
  int epochs = 1;
  int global_batch = 128;
  int micro_batch = 0;  ///< images per pass, over all ranks; gradients add up over passes. 0: one pass
  /// Cuts the batch into this many logical shards, so that any rank count that divides it gives the same
  /// bits. 0: off.
  int reproducible_across_ranks = 0;
  Precision precision = Precision::fp32;
  LossConfig loss;
  ClassWeights class_weights;
  float label_smoothing = 0;
  bool drop_last = false;
  /// A step whose loss is not finite ends the run (stop), or leaves weights and metrics as they are (skip).
  enum class OnNan { stop, skip } on_nan = OnNan::stop;
  float clip_norm = 0;  ///< gradients of the global batch longer than this are made this long; 0: none is
  float ema = 0;  ///< validate with a moving average of the weights that keeps this share per step; 0: none
  bool fusion = true;      ///< calls of a step are fused where the engine can; changes rounding at most
  bool recompute = false;  ///< what backward can compute again is not kept until then; changes no bit
  bool autotune = true;    ///< the device's fastest tiles are measured and remembered; changes no bit
  std::int64_t bucket_bytes = 4 << 20;  ///< `bucket_mb`: gradients are summed in slices of about this size
  double log_every = 10;                ///< seconds between two reports of progress within an epoch; 0: none
  bool tensorboard = true;  ///< event files in the run's folder (src/report/board.h); changes no bit
  std::optional<EarlyStopConfig> early_stop;
  std::vector<FreezeConfig> freeze;
};
/// Whether gradients are looked at before the optimizer takes them.
inline bool checks_gradients(const TrainConfig& train) {
  return train.precision == Precision::fp16 || train.clip_norm > 0 ||
         train.on_nan == TrainConfig::OnNan::skip;
}
/// `optimizer.groups`: parameters with another learning rate or weight decay, by a pattern of their names. Of
/// several groups that have one, the first counts.
struct GroupConfig {
  std::string match;
  float lr = 1;  ///< times OptimizerConfig::lr, or, if `absolute`, in place of it
  bool absolute = false;
  std::optional<float> weight_decay;  ///< in place of OptimizerConfig::weight_decay
  Mark mark;
};
struct OptimizerConfig {
  OptimizerRule rule;  ///< `name` and the rule's own keys (src/optimizers)
  float lr = 0.05f;
  float weight_decay = 0;
  bool decay_all = false;  ///< weight decay on biases and normalisation parameters too
  std::vector<GroupConfig> groups;
};
struct ScheduleConfig {
  enum class Name { constant, step, linear, cosine, one_cycle } name = Name::constant;
  double warmup_epochs = 0;                   ///< of a run shorter than twice that, half of it is warm-up
  std::int64_t warmup_steps = 0;              ///< the same in steps; one of the two is 0
  std::vector<double> milestones;             ///< step: epochs at which lr is multiplied by gamma
  std::vector<std::int64_t> milestone_steps;  ///< the same in steps; one of the two is empty
  double gamma = 0.1;
  double final_factor = 0;     ///< linear, cosine: lr at the end, as a share of the peak
  double start_factor = 0.04;  ///< one_cycle: lr at the start, as a share of the peak
  double peak_at = 0.3;        ///< one_cycle: when lr peaks, as a share of the run

  /// Steps of the warm-up that is asked for, and of the one there is, at most half of a run.
  double wanted_warmup(double steps_per_epoch) const {
    return warmup_steps > 0 ? static_cast<double>(warmup_steps) : warmup_epochs * steps_per_epoch;
  }
  double warmup(double steps_per_epoch, int epochs) const {
    return std::min(wanted_warmup(steps_per_epoch), 0.5 * epochs * steps_per_epoch);
  }
};
enum class Device { automatic, cpu, cuda, reference };
struct CheckpointConfig {
  int every_epochs = 1;
  std::int64_t every_steps = 0;  ///< within epochs, too; 0: not
  int keep = 3;                  ///< newest kept; 0: all
  bool best = false;             ///< besides, that of the epoch with the best validation
};
struct DistributedConfig {
  double timeout = 30;               ///< seconds without a sign of life after which a rank counts as lost
  double step_timeout = 1800;        ///< seconds a step may take; 0: any
  std::int64_t verify_every = 1000;  ///< steps between comparisons of weights; 0: at the start alone
  Precision gradient_dtype = Precision::fp32;  ///< what gradients are rounded to on the way to other ranks
  bool bind = true;  ///< `auto | none`: a GPU's rank that may run anywhere keeps to cores near it
};

struct Config {
  std::string name = "run";
  std::uint64_t seed = 1;
  DataConfig data;
  ModelConfig model;
  TrainConfig train;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  Device device = Device::automatic;
  CheckpointConfig checkpoint;
  DistributedConfig distributed;
};

/// Parses a YAML text. `name` stands in messages for the file; overrides are "key.path=value", applied on
/// top. Throws Error (exit code 2) that names key, file and line for anything unknown, duplicate, mistyped or
/// out of range.
Config parse_config(const std::string& text, const std::string& name,
                    const std::vector<std::string>& overrides);
/// The same from a file.
Config load_config(const std::string& path, const std::vector<std::string>& overrides);
/// The resolved configuration as YAML that parse_config reads back to the same structs.
std::string to_yaml(const Config& config);
/// Every key with what it accepts, its default and a line of help.
std::string schema_help();
/// The same as the Markdown page docs/configuration.md.
std::string schema_markdown();
/// Every key that a command line can set: "train.epochs".
std::vector<std::string> schema_keys();

}  // namespace convoy
