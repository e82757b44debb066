// Emits the calls of a pass: what an operation's forward() and backward() (src/layers/layer.h) have at hand.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "src/config/config.h"
#include "src/model/graph.h"
#include "src/plan/layout.h"
#include "src/plan/micro_batch.h"
#include "src/plan/plan.h"

namespace convoy {

class Emitter {
 public:
  /// All four outlive the emitter. `stage`: of Layout::stages, where it trains.
  Emitter(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
          bool training, int stage = 0);

  // --- the node whose calls are emitted ---

  const Node& node() const { return graph_.nodes[current_]; }
  /// Its inputs and its output, (N, features) each, and the gradient of the loss by its output.
  const Tensor& x(std::size_t which = 0) const { return values_[input(which)]; }
  const Tensor& y() const { return values_[current_]; }
  const Tensor& dy() const { return gradients_[current_]; }
  const FeatureShape& shape_of_x(std::size_t which = 0) const { return graph_.nodes[input(which)].out; }
  /// Makes its output.
  Tensor make_y() { return set_y(fresh(n() * node().out.count())); }
  /// Its output is a tensor that is there.
  Tensor set_y(const Tensor& tensor) { return values_[current_] = tensor; }
  /// Whether a node before it needs the gradient by an input. fresh_dx() makes a tensor of that size.
  bool wants_dx(std::size_t which = 0) const { return trains_[input(which)]; }
  Tensor fresh_dx(std::size_t which = 0) { return fresh(n() * shape_of_x(which).count()); }
  /// The gradient by an input gets one more term. Terms are summed into a fresh tensor: branches may share
  /// theirs.
  void add_dx(const Tensor& term, std::size_t which = 0);
  /// What its forward leaves for its backward besides inputs and output.
  std::vector<Tensor>& saved() { return saved_[current_]; }

  // --- its parameters; absent tensors for index -1 ---

  /// In the real type, for vectors per channel; at evaluation the moving average, where there is one.
  Tensor parameter(int index) const;
  /// In the compute type, for matrix products.
  Tensor compute_weights(int index) const;
  /// What this pass adds to a gradient. Of a parameter that is frozen, a tensor that nobody reads: calls that
  /// make nothing else are left out of the plan.
  Tensor gradient(int index);
  Tensor statistic(int index) const { return layout_.statistics[at(index)]; }
  /// What this pass adds to what all groups of the global batch mean for a running average.
  Tensor batch_statistic(int index) const { return in_this_pass(layout_.batch_statistics[at(index)]); }

  // --- the pass ---

  bool training() const { return training_; }
  /// Whether the node's parameters are frozen, all of them: a BatchNorm then keeps and uses its running
  /// averages.
  bool is_frozen() const;
  /// So many zeros, for a layer that is frozen.
  Tensor zeros(std::int64_t count) const { return slice(layout_.zeros, 0, count); }
  int n() const { return batch_.shard.count; }  ///< images
  const MicroBatch& batch() const { return batch_; }
  DType real() const { return layout_.real; }
  Math math() const { return config_.train.precision == Precision::tf32 ? Math::tf32 : Math::fp32; }
  /// A tensor of the step itself: of activations, or of any type.
  Tensor fresh(std::int64_t count) { return fresh(count, layout_.compute); }
  Tensor fresh(std::int64_t count, DType dtype) { return {Arena::unplaced, dtype, next_++, count}; }
  void emit(Call call) { emit(std::move(call), node().name); }

 protected:
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  std::size_t input(std::size_t which) const { return at(node().inputs[which]); }
  void emit(Call call, const std::string& name) { plan_.steps.push_back({std::move(call), name, phase_}); }
  /// A range of the first block of gradients, in this pass's block.
  Tensor in_this_pass(const Tensor& of_first) const { return in_block(layout_, of_first, batch_.block); }
  /// Calls of all nodes but the first, first to last.
  void forward();
  /// And last to first, of nodes that train or have something before them that does.
  void backward();

  const Graph& graph_;
  const Layout& layout_;
  const Config& config_;
  const MicroBatch batch_;
  const bool training_;
  const int stage_;
  Plan plan_;
  Phase phase_ = Phase::forward;  ///< of what is emitted
  std::vector<Tensor> values_,
      gradients_;  ///< of each node: its output, and the loss's gradient by it once known

 private:
  bool averaged() const { return !training_ && layout_.average; }

  std::vector<std::vector<Tensor>> saved_;
  bool trains(int parameter) const { return layout_.stage_of[at(parameter)] <= stage_; }

  std::vector<bool> trains_;  ///< the node or something before it has parameters that train
  std::size_t current_ = 0;
  std::int64_t next_ = 0;  ///< next unplaced tensor's identifier
};

}  // namespace convoy
