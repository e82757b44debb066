#include "src/layers/pool.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

constexpr int most_max_taps = 255;  ///< the place of the largest is stored in a byte

Kind<LayerConfig> window_kind(const char* name, const char* help, PoolConfig::Mode mode, const char* pad) {
  using P = PoolConfig;
  P prototype;
  prototype.mode = mode;
  return layer_kind<P>(
      name, help, prototype, "kernel",
      {field("kernel", &P::kernel, axis_values(between(1, 1024)), "window, one number or one per axis")
           .require(),
       field("stride", &P::stride, axis_values(between(1, 1024)), "step of the window; none: the kernel"),
       field("pad", &P::pad, axis_values(between(0, 1024)), pad)},
      fmt::format("{}: 2", name), [=](const P& pool) { return pool.mode == mode; });
}

PoolShape with_batch(PoolShape shape, int n) {
  return shape.n = n, shape;
}

}  // namespace

std::vector<Kind<LayerConfig>> PoolConfig::kinds() {
  PoolConfig global;
  global.mode = Mode::global_average;
  return {window_kind("maxpool", "maximum of each window", Mode::max,
                      "border around the image; it is never the maximum"),
          window_kind("avgpool", "mean of each window", Mode::average,
                      "border of zeros around the image; they count in the mean"),
          layer_kind<PoolConfig>("globalavgpool", "mean over all pixels", global, "", {}, "",
                                 [](const PoolConfig& pool) { return pool.mode == Mode::global_average; })};
}

int PoolConfig::add(GraphBuilder& graph, int input) const {
  PoolShape pool;
  pool.in = graph.shape(input);
  if (mode == Mode::global_average) {
    pool.kernel = pool.stride = {pool.in.d, pool.in.h, pool.in.w};
    return graph.node(op::Pool{pool, false}, {input}, pool.out());
  }
  pool.kernel = graph.axes("kernel", kernel, 1);
  pool.stride = stride.empty() ? pool.kernel : graph.axes("stride", stride, 1);
  pool.pad = graph.axes("pad", pad, 0);
  for (std::size_t i = 0; i < 3; ++i) {
    if (pool.pad[i] * 2 > pool.kernel[i]) graph.reject("pad {} is more than half the kernel", pool.pad[i]);
  }
  if (pool.out().pixels() == 0) {
    graph.reject("a window of {}x{} does not fit the input {}", pool.kernel[1], pool.kernel[2],
                 to_string(pool.in));
  }
  if (mode == Mode::max && pool.taps() > most_max_taps)
    graph.reject("a max window has at most {} taps, this one {}", most_max_taps, pool.taps());
  return graph.node(op::Pool{pool, mode == Mode::max}, {input}, pool.out());
}

void op::Pool::forward(Emitter& plan) const {
  const PoolShape s = with_batch(shape, plan.n());
  const Tensor y = plan.make_y();
  if (!max) return plan.emit(AvgPoolForward{s, plan.x(), y});
  const Tensor argmax = plan.training() ? plan.fresh(y.count, DType::u8) : Tensor{};
  plan.saved() = {argmax};
  plan.emit(MaxPoolForward{s, plan.x(), y, argmax});
}

void op::Pool::backward(Emitter& plan) const {
  const PoolShape s = with_batch(shape, plan.n());
  const Tensor dx = plan.fresh_dx();
  if (max)
    plan.emit(MaxPoolBackward{s, plan.dy(), plan.saved()[0], dx});
  else
    plan.emit(AvgPoolBackward{s, plan.dy(), dx});
  plan.add_dx(dx);
}

OnnxValue op::Pool::write(OnnxWriter& model) const {
  const std::string x = model.with_axes(model.x());
  const Axes whole{shape.in.d, shape.in.h, shape.in.w};
  if (!max && shape.kernel == whole && shape.pad == Axes{0, 0, 0})
    return {model.emit("GlobalAveragePool", {x})};
  std::vector<OnnxAttribute> attributes{{"kernel_shape", model.spatial(shape.kernel)},
                                        {"strides", model.spatial(shape.stride)},
                                        {"pads", model.pads(shape.pad)}};
  if (!max) attributes.push_back({"count_include_pad", std::int64_t{1}});
  return {model.emit(max ? "MaxPool" : "AveragePool", {x}, attributes)};
}

}  // namespace convoy
