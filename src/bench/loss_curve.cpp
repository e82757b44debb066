#include "src/bench/loss_curve.h"

#include <cstring>

#include "comm/agree.h"
#include "src/session/setup.h"
#include "src/train/schedule.h"

namespace convoy {
namespace {

template <class T>
FileTensor file_tensor(DType type, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {type, std::move(shape), std::move(bytes)};
}

/// What another trainer would have to draw from the same random numbers.
void require_repeatable(const Config& config, const Graph& graph) {
  if (config.data.augments()) fail_usage("bench losses takes images as they are: data.augment=[]");
  if (is_streamed(config.data.source)) fail_usage("bench losses takes data sets that fit into memory");
  for (const Node& node : graph.nodes) {
    if (std::holds_alternative<op::Drop>(node.op)) fail_usage("bench losses takes no network with dropout");
  }
}

void add_weights(Session& session, TensorFile& file) {
  const std::vector<Parameter>& parameters = session.graph().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<double> values =
        to_file_order(parameters[i], session.read_values(session.plans().layout.parameters[i]));
    file.tensors[parameters[i].name] =
        file_tensor(DType::f32, parameters[i].file_shape, std::vector<float>(values.begin(), values.end()));
  }
}

}  // namespace

TensorFile record_losses(const Config& wanted, const RankEnvironment& ranks, int steps) {
  Config config = wanted;
  config.train.drop_last = true;  // ranks' means weigh the same in every batch
  Dataset data;
  agree(ranks, [&] {
    require_repeatable(config, build_graph(config.model));
    data = load_dataset(config.data, config.seed);
  });
  TensorFile file;
  const FeatureShape& image = data.image;
  const auto samples = static_cast<std::int64_t>(data.labels.size());
  file.tensors["curve.images"] =
      file_tensor(DType::u8, {samples, image.d, image.h, image.w, image.c}, data.images);
  file.tensors["curve.labels"] = file_tensor(DType::i32, {samples}, data.labels);

  Session session(config, std::move(data), make_engine_for(config, ranks), ranks);
  session.initialize();
  add_weights(session, file);
  const int batch = config.train.global_batch;
  std::vector<std::int32_t> order;
  std::vector<float> rates, losses;
  for (int epoch = 1; static_cast<int>(losses.size()) < steps; ++epoch) {
    session.begin_epoch(epoch);
    for (int i = 0; i < session.steps_per_epoch() && static_cast<int>(losses.size()) < steps; ++i) {
      StepState state;
      state.step = static_cast<std::int64_t>(losses.size());
      state.learning_rate = static_cast<float>(learning_rate(config.schedule, config.optimizer.lr, state.step,
                                                             session.steps_per_epoch(), config.train.epochs));
      session.train_batch(i, state);
      rates.push_back(state.learning_rate);
      losses.push_back(static_cast<float>(session.verdict(state.step).loss));
      const auto first = session.order().begin() + std::ptrdiff_t{i} * batch;
      order.insert(order.end(), first, first + batch);
    }
  }
  file.tensors["curve.order"] = file_tensor(DType::i32, {steps, batch}, order);
  file.tensors["curve.learning_rates"] = file_tensor(DType::f32, {steps}, rates);
  file.tensors["curve.losses"] = file_tensor(DType::f32, {steps}, losses);
  return file;
}

}  // namespace convoy
