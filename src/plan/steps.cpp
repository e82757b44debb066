// A pass over the graph as calls: the batch is loaded, every operation goes forward, the loss is taken, and
// in training every operation goes backward (src/layers).
#include "src/plan/emitter.h"
#include "src/plan/passes.h"

namespace convoy {
namespace {

class Pass : private Emitter {
 public:
  using Emitter::Emitter;

  Plan run(std::string name, bool resident) {
    plan_.name = std::move(name);
    load_batch(resident);
    forward();
    loss();
    if (training_) backward();
    return training_ && layout_.stages[static_cast<std::size_t>(stage_)].end < layout_.all_parameters.count
               ? drop_unread(std::move(plan_))
               : std::move(plan_);
  }

 private:
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
    if (training_ && !config_.data.operations.empty()) retouch(call);
    call.x = values_[0] = fresh(n() * call.image.count());
    call.y = labels_ = fresh(n(), DType::i32);
    if (call.blends) call.y_partner = partner_labels_ = fresh(n(), DType::i32);
    emit(call, "input");
  }

  /// Leaves to `call` pictures that are cropped, flipped and changed.
  void retouch(Augment& call) {
    Retouch before;
    before.n = call.n, before.first = call.first, before.staged = call.staged;
    before.image = call.image, before.resident = call.resident;
    before.crop_pad = call.crop_pad, before.pad_mode = call.pad_mode, before.flip = call.flip;
    before.blends = call.blends, before.after = call.after;
    for (const PictureOperation& operation : config_.data.operations)
      before.operations[before.operation_count++] = operation;
    before.images = call.images, before.order = call.order;
    before.pictures = fresh(before.rows() * call.image.count(), DType::u8);
    emit(before, "input");
    call.images = before.pictures;
    call.resident = false, call.retouched = true, call.staged = 0;
    call.crop_pad = 0, call.flip = Flip::none;
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
      call.class_weights = layout_.class_weights;
      call.gamma = config_.train.loss.gamma;
      call.dlogits = gradients_.back() = fresh(call.logits.count);
      call.loss_scale = layout_.loss_scale;
      call.partner_labels = partner_labels_;
    } else {
      plan_.logits = call.logits;
    }
    emit(call, "loss");
    AccumulateMetrics metrics{n(), call.loss, call.hits, layout_.validation_metrics};
    if (training_) {
      metrics.metrics = layout_.train_metrics;
      metrics.global_n = batch_.global_n;
      metrics.skip_nonfinite = config_.train.on_nan == TrainConfig::OnNan::skip;
      metrics.votes = in_this_pass(layout_.votes);
    }
    emit(metrics, "loss");
  }

  Tensor labels_, partner_labels_;
};

}  // namespace

Plan training_pass(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
                   bool resident, int stage) {
  return Pass(graph, layout, config, batch, true, stage).run("training pass", resident);
}

Plan evaluation_plan(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
                     bool resident) {
  return Pass(graph, layout, config, batch, false).run("evaluation step", resident);
}

}  // namespace convoy
