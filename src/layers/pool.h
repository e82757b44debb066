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

struct PoolConfig {  ///< `maxpool: 2`, `avgpool: {kernel: 3, stride: 2, pad: 1}` or `globalavgpool`
  using Op = op::Pool;
  enum class Mode { max, average, global_average } mode = Mode::max;
  AxisValues kernel, stride;  ///< stride empty: the kernel; neither is used by global_average
  AxisValues pad{0};
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const PoolConfig&) const = default;
};

}  // namespace convoy
