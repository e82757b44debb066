// A network on an engine: plans loaded, data where the steps find it, parameters readable and writable by
// name.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/data/identity.h"
#include "src/engine/engine.h"
#include "src/model/graph.h"
#include "src/session/batch_feed.h"
#include "src/session/plan_set.h"
#include "src/session/stop_poll.h"

namespace convoy {

/// Sums over all ranks since they were last taken.
struct Metrics {
  double loss_sum = 0, correct = 0, count = 0;
  double loss() const { return loss_sum / count; }
  double accuracy() const { return correct / count; }  ///< NaN if nothing was counted, like loss()
};

/// The answers of a network for the images of a part, in their order.
struct Predictions {
  int classes = 0;
  std::vector<double> logits;        ///< (images,classes)
  std::vector<std::int32_t> labels;  ///< (images)
};

/// The result of a training step, the same on every rank.
struct StepVerdict {
  double loss = 0;     ///< mean over the global batch
  bool finite = true;  ///< the loss is
  bool stop = false;   ///< a rank has been asked to stop (StepState::stop)
};

/// A tensor of the run's state under the name that files use.
struct NamedTensor {
  std::string name;
  Tensor tensor;
  const Parameter* parameter = nullptr;  ///< for the order in files; null: as it lies in memory
  std::vector<std::int64_t> file_shape;
  bool optional = false;      ///< a file may lack it: then it keeps its value, or gets that of
  std::string stand_in = {};  ///< this tensor of the file, if there is one named here
};

/// Of a tensor, to be compared between ranks.
struct NamedHash {
  std::string name;
  std::uint64_t hash = 0;
};

/// The current dynamic loss scale (fp16 only).
struct LossScale {
  double scale = 0;
  std::int64_t skipped_steps = 0;  ///< since the run began
};

/// Throws Error (exit code 2) when the network takes other images or gives another number of scores than
/// there are classes; more are all right with model.spare_scores.
void check_fit(const Config& config, const Dataset& dataset, const Graph& graph);

/// Throws AgreedError when the data does not fit the network or the plans do not fit the memory: labels
/// beyond the last layer's width, another image shape.
class Session {
 public:
  /// `identity`: of the data set, where checkpoints should say it.
  Session(const Config& config, Dataset dataset, std::unique_ptr<Engine> engine, const RankEnvironment& ranks,
          std::shared_future<DataIdentity> identity = {});
  ~Session();

  const Graph& graph() const { return graph_; }
  const PlanSet& plans() const { return plans_; }
  Engine& engine() { return *engine_; }
  std::int64_t steps_per_epoch() const { return static_cast<std::int64_t>(plans_.training_batches.size()); }

  /// Initial parameters and running averages: functions of the seed and the names, computed on rank 0.
  /// Collective.
  void initialize();

  /// Whether a parameter (of Graph::parameters) trains in the epoch that was begun last.
  bool trains(std::size_t parameter) const;

  /// Sets the epoch's order of samples; its batches are then run one after the other, from `first` on.
  void begin_epoch(int epoch, int first = 0);
  /// Samples of the epoch that was begun last in their order, then validation's and the test's.
  const std::vector<std::int32_t>& order() const { return order_; }
  /// Queues the training step of the epoch's batch `index`; `state` gives step and learning rate.
  void train_batch(int index, StepState state);
  /// The same, but waits and says when each call of the batch's plan ran (Engine::run_timed).
  std::vector<CallTime> train_batch_timed(int index, StepState state);
  /// Of the training step `step` (StepState), one of the last two queued; waits for it alone. Who looks at
  /// step t's before queueing step t + 2 acts on it where every rank does. The votes ride in the last bucket
  /// of gradients.
  StepVerdict verdict(std::int64_t step);
  /// Waits for the steps queued so far; collective.
  Metrics read_training_metrics();
  /// This rank's part alone; not collective.
  Metrics read_local_training_metrics();
  void reset_training_metrics();
  /// Waits for the steps queued so far; the same on every rank.
  std::optional<LossScale> read_loss_scale();
  /// One pass over the images of `part`; collective. Fills in `predictions`, if asked for, on every rank.
  /// Images are looked at as `view` says, which other than usually takes data.resident: false.
  Metrics evaluate(Predictions* predictions = nullptr, Part part = Part::validation, const View& view = {});
  /// The same, but ends with nothing between two batches where `poll` says so.
  std::optional<Metrics> evaluate_unless(StopPoll& poll, Predictions* predictions = nullptr,
                                         Part part = Part::validation, const View& view = {});
  bool has_test_part() const { return !dataset_.test.empty(); }
  bool validation_is_test() const { return dataset_.validation_is_test; }
  /// What people call the images that are validated on: "test" or "validation".
  const char* validation_name() const { return name_of_validation(dataset_); }

  /// Names of the images that any rank found broken since the run began, or was resumed, and replaced by
  /// others; none where images are in memory. Collective. Throws AgreedError for more than data.max_bad.
  std::vector<std::string> replaced_images() const;

  /// The pixels of the validation set's image number `index`, as read. Not collective.
  std::vector<std::uint8_t> read_validation_image(std::int64_t index);
  /// How many validation images each class has.
  std::vector<std::int64_t> validation_counts() const;
  /// What classes are called; empty where that is not known.
  std::vector<std::string> class_names() const;
  /// Waits until it is known; nothing where the session was made without it.
  std::optional<DataIdentity> data_identity() const;

  /// Of all parameters, and of their averages, as the steps queued so far leave them on this rank.
  std::vector<NamedHash> hash_weights();
  /// Everything that a checkpoint holds: parameters, running averages and, if asked for, the optimizer's
  /// moments.
  std::vector<NamedTensor> named_tensors(bool with_optimizer) const;
  /// A tensor's values (f32 or f64) in memory order.
  std::vector<double> read_values(const Tensor& tensor);
  /// Of parameters also the compute copy.
  void write_values(const Tensor& tensor, const std::vector<double>& values);

 private:
  /// Fills in what `state` lacks for the epoch's batch `index`, whose plan is the result.
  int prepare_batch(int index, StepState& state);
  void write_order(int epoch);
  /// This rank's part of an evaluation batch, counted within it.
  Shard evaluation_shard(const Range& batch) const;
  void stage(std::span<const Range> batches, std::int64_t first, const Occasion& occasion,
             const std::function<std::vector<Shard>(const Range&)>& shards_of);
  /// Where the next batch's images are: uploads so many first unless the data set is resident.
  int next_slot(int images);
  /// Puts this rank's logits of the evaluation batch that was just run where they belong among all.
  void read_logits(const Range& batch, std::vector<double>& logits);
  Metrics sum_over_ranks(Metrics local) const;
  Metrics read_local(const Tensor& tensor);

  const Config config_;
  const RankEnvironment& ranks_;
  Dataset dataset_;
  const std::shared_future<DataIdentity> identity_;
  Graph graph_;
  std::unique_ptr<Engine> engine_;
  PlanSet plans_;
  std::vector<std::map<int, int>> training_;  ///< of each stage: batch size -> handle of the loaded plan
  std::map<int, int> evaluation_;
  int verification_ = 0;
  std::vector<std::int32_t> order_;
  int epoch_ = 0;
  std::optional<BatchFeed> feed_;  ///< none when the data set is resident
};

}  // namespace convoy
