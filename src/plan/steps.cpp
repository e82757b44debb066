// From a graph to the calls of a pass: for every operation its forward rule and, beside it, its autodiff
// rule.
#include <optional>

#include "src/plan/passes.h"

namespace convoy {
namespace {

/// Emits a plan. `values_[i]` is the output of node i, `gradients_[i]` the gradient of the loss by it once
/// known.
class Emitter {
 public:
  Emitter(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
          bool training)
      : graph_(graph), layout_(layout), config_(config), batch_(batch), training_(training) {
    values_.resize(graph.nodes.size());
    gradients_.resize(graph.nodes.size());
    saved_.resize(graph.nodes.size());
    for (const Node& node : graph.nodes) {
      bool trains = std::visit([](const auto& o) { return has_parameters(o); }, node.op);
      for (const int input : node.inputs) trains = trains || trains_[at(input)];
      trains_.push_back(trains);
    }
  }

  Plan run(std::string name, bool resident) {
    plan_.name = std::move(name);
    load_batch(resident);
    for (std::size_t i = 1; i < graph_.nodes.size(); ++i) {
      begin(i);
      std::visit([&](const auto& o) { forward(o); }, node().op);
    }
    loss();
    if (training_) {
      for (std::size_t i = graph_.nodes.size() - 1; i > 0; --i) {
        begin(i);
        if (trains_[i]) std::visit([&](const auto& o) { backward(o); }, node().op);
      }
    }
    return std::move(plan_);
  }

 private:
  /// What a forward rule leaves for its backward rule besides input and output.
  struct Saved {
    Tensor argmax, mean, inv_std;
  };

  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  template <class O>
  static bool has_parameters(const O&) {
    return std::is_same_v<O, op::Conv> || std::is_same_v<O, op::Linear> || std::is_same_v<O, op::BatchNorm>;
  }

  void begin(std::size_t node_index) { current_ = node_index; }
  const Node& node() const { return graph_.nodes[current_]; }
  std::size_t input(std::size_t which = 0) const { return at(node().inputs[which]); }
  const Tensor& x() const { return values_[input()]; }
  const Tensor& y() const { return values_[current_]; }
  const Tensor& dy() const { return gradients_[current_]; }
  Saved& saved() { return saved_[current_]; }
  bool wants_dx() const { return trains_[input()]; }
  int n() const { return batch_.shard.count; }
  Math math() const { return config_.train.precision == Precision::tf32 ? Math::tf32 : Math::fp32; }

  Tensor fresh(std::int64_t count, DType dtype) { return {Arena::unplaced, dtype, next_++, count}; }
  /// An activation or its gradient.
  Tensor fresh(std::int64_t count) { return fresh(count, layout_.compute); }
  Tensor make_y() { return values_[current_] = fresh(n() * node().out.count()); }
  /// Of evaluation the moving average, where there is one.
  Tensor parameter(int index) const {
    if (index < 0) return {};
    const Tensor& tensor = layout_.parameters[at(index)];
    return averaged() ? same_place(tensor, layout_.average) : tensor;
  }
  bool averaged() const { return !training_ && layout_.average; }
  /// A parameter as products take it.
  Tensor working(int index) const {
    const Tensor& block = averaged() ? layout_.average_working : layout_.working;
    return block && index >= 0 ? same_place(layout_.parameters[at(index)], block) : parameter(index);
  }
  /// What this pass adds to a gradient, or to what is summed beside gradients.
  Tensor sum(const Tensor& of_first) const { return in_block(layout_, of_first, batch_.block); }
  Tensor gradient(int index) const { return index < 0 ? Tensor{} : sum(layout_.gradients[at(index)]); }
  Tensor statistic(int index) const { return layout_.statistics[at(index)]; }
  Tensor batch_statistic(int index) const { return sum(layout_.batch_statistics[at(index)]); }

  void emit(Call call, const std::string& name) { plan_.steps.push_back({std::move(call), name}); }
  void emit(Call call) { emit(std::move(call), node().name); }

  /// The gradient by node `to` gets one more term. Terms are summed into a fresh tensor: branches may share
  /// theirs.
  void add_gradient(std::size_t to, const Tensor& term) {
    if (!trains_[to]) return;
    Tensor& sum = gradients_[to];
    if (!sum) {
      sum = term;
      return;
    }
    const Tensor total = fresh(term.count);
    emit(Add{sum, term, total});
    sum = total;
  }
  Tensor fresh_dx() { return fresh(n() * graph_.nodes[input()].out.count()); }

  /// Sums over ranks that the very next call needs, where groups have images on several.
  void sum_groups_over_ranks(const op::BatchNorm& o, const Tensor& sums) {
    if (groups_are_local(batch_, o.config.group)) return;
    emit(AllReduce{sums});
    emit(Join{});
  }

  void load_batch(bool resident) {
    Augment call;
    call.n = n();
    call.first = batch_.shard.first;
    call.staged = batch_.staged;
    call.image = graph_.input();
    call.resident = resident;
    if (training_) {
      call.crop_pad = config_.data.crop_pad;
      call.pad_mode = config_.data.crop_mode;
      call.flip = config_.data.flip;
      call.jitter = config_.data.jitter;
      call.erasing = config_.data.erasing;
      call.blends = config_.data.blends();
      call.after = batch_.after;
    }
    call.images = layout_.images, call.labels = layout_.labels, call.order = layout_.order;
    call.scale = layout_.scale, call.shift = layout_.shift;
    call.x = values_[0] = fresh(n() * call.image.count());
    call.y = labels_ = fresh(n(), DType::i32);
    if (call.blends) call.y_partner = partner_labels_ = fresh(n(), DType::i32);
    emit(call, "input");
  }

  void loss() {
    SoftmaxCrossEntropy call;
    call.n = n();
    call.classes = graph_.classes();
    call.global_n = batch_.global_n;
    call.logits = values_.back();
    call.labels = labels_;
    call.loss = fresh(n(), layout_.real);
    call.hits = fresh(n(), DType::i32);
    if (training_) {
      call.smoothing = config_.train.label_smoothing;
      call.dlogits = gradients_.back() = fresh(call.logits.count);
      call.loss_scale = layout_.loss_scale;
      call.partner_labels = partner_labels_;
    }
    emit(call, "loss");
    AccumulateMetrics metrics{n(), call.loss, call.hits, layout_.validation_metrics};
    if (training_) {
      metrics.metrics = layout_.train_metrics;
      metrics.global_n = batch_.global_n;
      metrics.skip_nonfinite = config_.train.on_nan == TrainConfig::OnNan::skip;
      metrics.votes = sum(layout_.votes);
    }
    emit(metrics, "loss");
  }

  // --- one forward and one backward rule per operation ---

  void forward(const op::Input&) {}
  void backward(const op::Input&) {}

  ConvShape with_batch(ConvShape shape) const { return shape.n = n(), shape; }
  void forward(const op::Conv& o) {
    emit(ConvForward{with_batch(o.shape), x(), working(o.weight), parameter(o.bias), make_y(), math()});
  }
  void backward(const op::Conv& o) {
    const ConvShape shape = with_batch(o.shape);
    if (o.bias >= 0) emit(BiasGrad{n() * shape.out().pixels(), shape.k, dy(), gradient(o.bias)});
    emit(ConvWgrad{shape, x(), dy(), gradient(o.weight), math()});
    if (!wants_dx()) return;
    const Tensor dx = fresh_dx();
    emit(ConvDgrad{shape, dy(), working(o.weight), dx, math()});
    add_gradient(input(), dx);
  }

  void forward(const op::Linear& o) {
    emit(LinearForward{{n(), o.in, o.out}, x(), working(o.weight), parameter(o.bias), make_y(), math()});
  }
  void backward(const op::Linear& o) {
    const LinearShape shape{n(), o.in, o.out};
    if (o.bias >= 0) emit(BiasGrad{n(), o.out, dy(), gradient(o.bias)});
    emit(LinearWgrad{shape, x(), dy(), gradient(o.weight), math()});
    if (!wants_dx()) return;
    const Tensor dx = fresh_dx();
    emit(LinearDgrad{shape, dy(), working(o.weight), dx, math()});
    add_gradient(input(), dx);
  }

  PoolShape with_batch(PoolShape shape) const { return shape.n = n(), shape; }
  void forward(const op::Pool& o) {
    const PoolShape shape = with_batch(o.shape);
    if (!o.max) return emit(AvgPoolForward{shape, x(), make_y()});
    const Tensor out = make_y();
    if (training_) saved().argmax = fresh(out.count, DType::u8);
    emit(MaxPoolForward{shape, x(), out, saved().argmax});
  }
  void backward(const op::Pool& o) {
    const Tensor dx = fresh_dx();
    if (o.max) {
      emit(MaxPoolBackward{with_batch(o.shape), dy(), saved().argmax, dx});
    } else {
      emit(AvgPoolBackward{with_batch(o.shape), dy(), dx});
    }
    add_gradient(input(), dx);
  }

  BatchNormShape batchnorm_shape(const op::BatchNorm& o) const {
    BatchNormShape shape;
    const bool local = groups_are_local(batch_, o.config.group);
    shape.n = n();
    shape.first = local ? 0 : batch_.shard.first - batch_.span.first;
    shape.global_n = local ? n() : batch_.span.count;
    const int most = std::max(shape.global_n, 1);
    shape.group = o.config.group > 0 ? std::min(o.config.group, most) : most;
    shape.pixels = node().out.pixels();
    shape.c = node().out.c;
    shape.epsilon = o.config.epsilon;
    return shape;
  }
  /// What a group here counts for in the mean over all groups of the global batch. Groups with images on
  /// several ranks are complete on each of them, but are to count once.
  double share_of_group(const op::BatchNorm& o) const {
    const bool counts = batch_.rank == 0 || groups_are_local(batch_, o.config.group);
    return counts ? 1.0 / std::max(batchnorm_groups(batch_, o.config.group), 1) : 0.0;
  }
  void forward(const op::BatchNorm& o) {
    const BatchNormShape shape = batchnorm_shape(o);
    const Tensor gamma = parameter(o.gamma), beta = parameter(o.beta);
    if (!training_) {
      return emit(BatchNormInference{shape, x(), statistic(o.running_mean), statistic(o.running_var), gamma,
                                     beta, make_y()});
    }
    const std::int64_t moments = std::int64_t{shape.groups()} * shape.c;
    const Tensor sums = fresh(2 * moments, DType::f64);
    saved().mean = fresh(moments, layout_.real), saved().inv_std = fresh(moments, layout_.real);
    emit(BatchNormStatistics{shape, x(), sums});
    sum_groups_over_ranks(o, sums);
    emit(BatchNormMoments{shape, share_of_group(o), sums, saved().mean, saved().inv_std,
                          batch_statistic(o.running_mean), batch_statistic(o.running_var)});
    emit(BatchNormForward{shape, x(), saved().mean, saved().inv_std, gamma, beta, make_y()});
  }
  void backward(const op::BatchNorm& o) {
    const BatchNormShape shape = batchnorm_shape(o);
    const Tensor sums = fresh(2 * std::int64_t{shape.groups()} * shape.c, DType::f64);
    emit(BatchNormReduce{shape, x(), dy(), saved().mean, saved().inv_std, sums, gradient(o.gamma),
                         gradient(o.beta)});
    if (!wants_dx()) return;
    sum_groups_over_ranks(o, sums);
    const Tensor dx = fresh_dx();
    emit(BatchNormBackward{shape, x(), dy(), saved().mean, saved().inv_std, parameter(o.gamma), sums, dx});
    add_gradient(input(), dx);
  }

  void forward(const op::Activate& o) {
    emit(ActivationForward{o.config.kind, o.config.slope, x(), make_y()});
  }
  void backward(const op::Activate& o) {
    const Tensor dx = fresh_dx();
    emit(ActivationBackward{o.config.kind, o.config.slope, backward_needs_input(o.config.kind) ? x() : y(),
                            dy(), dx});
    add_gradient(input(), dx);
  }

  std::int64_t first_element() const { return batch_.shard.first * node().out.count(); }
  void forward(const op::Drop& o) {
    if (!training_) {
      values_[current_] = x();
      return;
    }
    emit(Dropout{o.rate, o.layer, first_element(), x(), make_y()});
  }
  void backward(const op::Drop& o) {
    const Tensor dx = fresh_dx();
    emit(Dropout{o.rate, o.layer, first_element(), dy(), dx});
    add_gradient(input(), dx);
  }

  // Channels-last features are contiguous per image: flattening renames them.
  void forward(const op::Flatten&) { values_[current_] = x(); }
  void backward(const op::Flatten&) { add_gradient(input(), dy()); }

  void forward(const op::Sum&) { emit(Add{values_[input(0)], values_[input(1)], make_y()}); }
  void backward(const op::Sum&) {
    const Tensor term = dy();
    add_gradient(input(0), term);
    add_gradient(input(1), term);
  }

  const Graph& graph_;
  const Layout& layout_;
  const Config& config_;
  const MicroBatch batch_;
  const bool training_;
  Plan plan_;
  std::vector<Tensor> values_, gradients_;
  std::vector<Saved> saved_;
  std::vector<bool> trains_;  ///< the node or something before it has parameters
  Tensor labels_, partner_labels_;
  std::size_t current_ = 0;
  std::int64_t next_ = 0;  ///< next unplaced tensor's identifier
};

}  // namespace

Plan training_pass(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
                   bool resident) {
  return Emitter(graph, layout, config, batch, true).run("training pass", resident);
}

Plan evaluation_plan(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
                     bool resident) {
  return Emitter(graph, layout, config, batch, false).run("evaluation step", resident);
}

Tensor logits_of(const Plan& plan) {
  for (const Step& step : plan.steps) {
    if (const auto* loss = std::get_if<SoftmaxCrossEntropy>(&step.call)) return loss->logits;
  }
  fail("internal error: {} has no loss", plan.name);
}

}  // namespace convoy
