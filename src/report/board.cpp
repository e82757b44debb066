#include "src/report/board.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "core/log.h"
#include "core/reason.h"
#include "kernels/loss_scale.h"
#include "src/io/png_writer.h"
#include "src/report/evaluation.h"
#include "src/report/pictures.h"

namespace convoy {
namespace {

constexpr std::int64_t most_logits = std::int64_t{1} << 23;
constexpr std::size_t most_mistakes = 36;

/// A block of parameters or gradients in host memory.
struct Block {
  Tensor tensor;
  const std::uint8_t* bytes;

  template <class Function>
  void for_each(const Tensor& part, Function function) const {
    if (tensor.dtype == DType::f64)
      for_each_as<double>(part, function);
    else
      for_each_as<float>(part, function);
  }

 private:
  template <class T, class Function>
  void for_each_as(const Tensor& part, Function function) const {
    check(part.dtype == dtype_of<T>(), "master weights are f32 or f64");
    const std::uint8_t* begin = bytes + (part.offset - tensor.offset);
    for (std::int64_t i = 0; i < part.count; ++i) {
      T value;
      std::memcpy(&value, begin + i * std::int64_t{sizeof value}, sizeof value);
      function(static_cast<double>(value));
    }
  }
};

void add_picture(EventWriter& events, const std::string& tag, std::int64_t step, const Picture& picture) {
  events.image(tag, step, picture.height, picture.width, picture.channels,
               encode_png({picture.height, picture.width, picture.channels, picture.pixels}));
}

void add_scalars(EventWriter& events, const EpochRecord& record) {
  const std::int64_t step = record.step;
  events.scalar("loss/train", step, record.train_loss);
  events.scalar("loss/val", step, record.val_loss);
  events.scalar("accuracy/train", step, record.train_accuracy);
  events.scalar("accuracy/val", step, record.val_accuracy);
  events.scalar("speed/images_per_second", step, record.images_per_second);
  if (!record.loss_scale) return;
  events.scalar("loss_scale/scale", step, record.loss_scale->scale);
  events.scalar("loss_scale/skipped_steps", step, static_cast<double>(record.loss_scale->skipped_steps));
}

/// All data of an epoch's events, copied from the engine.
struct EpochEnd {
  EpochRecord record;
  const Graph& graph;
  const Layout& layout;
  Block weights, gradients;
  double gradient_factor = 1;           ///< from the gradients in memory to those that the optimizer uses
  std::optional<double> gradient_norm;  ///< if the step has measured it
  Predictions predictions;
  std::vector<Mistake> mistakes;
  std::vector<Picture> mistaken;
  std::vector<std::string> class_names;
};

void add_parameters(EventWriter& events, const EpochEnd& end) {
  const std::int64_t step = end.record.step;
  const int stage = stage_of_epoch(end.layout, end.record.epoch);
  double squares = 0;
  for (std::size_t i = 0; i < end.graph.parameters.size(); ++i) {
    const std::string& name = end.graph.parameters[i].name;
    Histogram weights, gradients;
    end.weights.for_each(end.layout.parameters[i], [&](double value) { weights.add(value); });
    events.histogram("weights/" + name, step, weights);
    if (end.layout.stage_of[i] > stage) continue;  // frozen
    end.gradients.for_each(end.layout.gradients[i],
                           [&](double value) { gradients.add(value * end.gradient_factor); });
    squares += gradients.sum_of_squares();
    events.histogram("gradients/" + name, step, gradients);
  }
  events.scalar("gradients/norm", step, end.gradient_norm.value_or(std::sqrt(squares)));
}

void add_pictures(EventWriter& events, const EpochEnd& end) {
  const std::int64_t step = end.record.step;
  if (const Parameter* filters = first_filters(end.graph)) {
    std::vector<double> values;
    end.weights.for_each(
        end.layout.parameters[static_cast<std::size_t>(filters - end.graph.parameters.data())],
        [&](double value) { values.push_back(value); });
    add_picture(events, "first_layer/filters", step, filter_picture(*filters, values));
  }
  if (end.predictions.labels.empty()) return;
  add_picture(events, "validation/confusion", step,
              confusion_picture(end.predictions.classes, confusion_matrix(end.predictions), end.class_names));
  if (end.mistaken.empty()) return;
  const Picture& first = end.mistaken.front();
  const int scale = std::max(1, 96 / std::max(first.height, first.width));
  add_picture(events, "validation/worst_mistakes", step, contact_sheet(end.mistaken, scale));
  events.text("validation/worst_mistakes_list", step, list_of(end.mistakes, end.class_names));
}

}  // namespace

Board::Board(const std::filesystem::path& run, const std::string& host, std::int64_t steps_done,
             Session& session)
    : session_(session), events_(run / "tensorboard", host, steps_done + 1) {
  const Layout& layout = session.plans().layout;
  weights_ = session.engine().staging_memory(static_cast<std::size_t>(layout.all_parameters.bytes()));
  gradients_ = session.engine().staging_memory(static_cast<std::size_t>(layout.all_gradients.bytes()));
}

Board::~Board() {
  if (writing_.valid()) writing_.wait();
}

void Board::step(std::int64_t step, double loss, double learning_rate) {
  steps_.push_back({step, loss, learning_rate});
}

void Board::epoch(const EpochRecord& record, Predictions predictions) {
  settle();
  const Layout& layout = session_.plans().layout;
  session_.engine().read(layout.all_parameters, weights_);
  session_.engine().read(layout.all_gradients, gradients_);
  auto end = std::make_shared<EpochEnd>(EpochEnd{record,
                                                 session_.graph(),
                                                 layout,
                                                 {layout.all_parameters, weights_},
                                                 {layout.all_gradients, gradients_},
                                                 1,
                                                 std::nullopt,
                                                 std::move(predictions),
                                                 {},
                                                 {},
                                                 session_.class_names()});
  if (layout.loss_scale) {
    const std::vector<double> state = session_.read_values(layout.loss_scale);
    end->gradient_factor = state[loss_scale::inverse];
    end->gradient_norm = state[loss_scale::norm];
  }
  end->mistakes = worst_mistakes(end->predictions, most_mistakes);
  for (const Mistake& mistake : end->mistakes) {
    const std::vector<std::uint8_t> pixels = session_.read_validation_image(mistake.image);
    end->mistaken.push_back(image_picture(session_.graph().input(), pixels));
  }
  write([this, end] {
    add_scalars(events_, end->record);
    add_parameters(events_, *end);
    add_pictures(events_, *end);
  });
}

void Board::flush() {
  write([] {});
}

void Board::write(std::function<void()> add) {
  settle();
  writing_ = std::async(std::launch::async, [this, steps = std::exchange(steps_, {}), add = std::move(add)] {
    for (const StepPoint& point : steps) {
      events_.scalar("loss/step", point.step, point.loss);
      events_.scalar("learning_rate", point.step, point.learning_rate);
    }
    add();
    events_.flush();
  });
}

void Board::settle() {
  if (!writing_.valid()) return;
  try {
    writing_.get();
    if (unwritten_.over() > 0)
      log_info("TensorBoard's files are written again{}",
               events_.incomplete() ? "; some of what came meanwhile is missing" : "");
  } catch (const std::exception& error) {
    if (unwritten_.is_news(reason_of(error)))
      log_warn("nothing for TensorBoard: {}; the run goes on and tries again", reason_of(error));
  }
}

void Board::finish() {
  flush();
  settle();
}

bool wants_predictions(const Config& config, const Session& session) {
  std::int64_t images = 0;
  for (const Range& batch : session.plans().evaluation_batches) images += batch.count;
  return config.train.tensorboard && images * session.graph().classes() <= most_logits;
}

}  // namespace convoy
