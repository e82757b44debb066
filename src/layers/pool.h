// Pooling: the largest or the mean of each window, or of the whole image.
#pragma once

#include "core/type_list.h"
#include "kernels/pool.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Pool {
  using Calls = TypeList<MaxPoolForward, MaxPoolBackward, AvgPoolForward, AvgPoolBackward>;
  static constexpr bool pointwise = false;
  PoolShape shape;  ///< n = 0
  bool max = true;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

/// `maxpool: 2`, `avgpool: {kernel: 3, stride: 2, pad: 1}`, `adaptive_avgpool: 7` or `globalavgpool`
struct PoolConfig {
  using Op = op::Pool;
  enum class Mode { max, average, adaptive_average, global_average } mode = Mode::max;
  AxisValues kernel, stride;  ///< of max and average; stride empty: the kernel
  AxisValues pad{0};
  bool ceil = false, count_padding = true;  ///< PoolShape's
  AxisValues size;                          ///< of adaptive_average: pixels that come out
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const PoolConfig&) const = default;
};

}  // namespace convoy
