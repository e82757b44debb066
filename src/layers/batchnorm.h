// Batch normalisation.
#pragma once

#include "core/type_list.h"
#include "kernels/batchnorm.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct BatchNorm {
  using Calls = TypeList<BatchNormStatistics, BatchNormMoments, BatchNormRunning, BatchNormForward,
                         BatchNormInference, BatchNormReduce, BatchNormBackward>;
  static constexpr bool pointwise = false;
  int group = 0;
  float epsilon = 1e-5f;
  int gamma = -1, beta = -1, running_mean = -1, running_var = -1;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct BatchNormConfig {
  using Op = op::BatchNorm;
  int group = 0;  ///< images per group; 0: the whole global batch
  float momentum = 0.1f, epsilon = 1e-5f;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const BatchNormConfig&) const = default;
};

}  // namespace convoy
