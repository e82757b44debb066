#include "src/layers/pool.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

constexpr int most_max_taps = 255;  ///< the place of the largest is stored in a byte

using P = PoolConfig;

P of_mode(P::Mode mode) {
  P pool;
  pool.mode = mode;
  return pool;
}

auto is_of(P::Mode mode) {
  return [=](const P& pool) { return pool.mode == mode; };
}

std::vector<Field<P>> window_fields(const char* pad) {
  return {field("kernel", &P::kernel, axis_values(between(1, 1024)), "window, one number or one per axis")
              .require(),
          field("stride", &P::stride, axis_values(between(1, 1024)), "step of the window; none: the kernel"),
          field("pad", &P::pad, axis_values(between(0, 1024)), pad),
          field("ceil", &P::ceil, boolean(),
                "a last window that reaches beyond the image for what is left over")};
}

PoolShape with_batch(PoolShape shape, int n) {
  return shape.n = n, shape;
}

}  // namespace

std::vector<Kind<LayerConfig>> PoolConfig::kinds() {
  const std::vector<Field<P>> max = window_fields("border around the image; it is never the maximum");
  std::vector<Field<P>> average = window_fields("border of zeros around the image");
  average.push_back(field("count_padding", &P::count_padding, boolean(),
                          "whether the zeros of the border count in the mean"));
  const Field<P> size = field("size", &P::size, axis_values(between(1, 1024)),
                              "pixels that come out, one number or one per axis")
                            .require();
  return {layer_kind<P>("maxpool", "maximum of each window", of_mode(Mode::max), "kernel", max, "maxpool: 2",
                        is_of(Mode::max)),
          layer_kind<P>("avgpool", "mean of each window", of_mode(Mode::average), "kernel", average,
                        "avgpool: 2", is_of(Mode::average)),
          layer_kind<P>("adaptive_avgpool", "mean of each of SIZE equal parts of the image",
                        of_mode(Mode::adaptive_average), "size", {size}, "adaptive_avgpool: 3",
                        is_of(Mode::adaptive_average)),
          layer_kind<P>("globalavgpool", "mean over all pixels", of_mode(Mode::global_average), "", {}, "",
                        is_of(Mode::global_average))};
}

int PoolConfig::add(GraphBuilder& graph, int input) const {
  PoolShape pool;
  pool.in = graph.shape(input);
  if (mode == Mode::global_average) {
    pool.kernel = pool.stride = {pool.in.d, pool.in.h, pool.in.w};
    return graph.node(op::Pool{pool, false}, {input}, pool.out());
  }
  if (mode == Mode::adaptive_average) {
    const Axes parts = graph.axes("size", size, 1), length{pool.in.d, pool.in.h, pool.in.w};
    bool alike = true;
    for (std::size_t i = 0; i < 3; ++i) {
      alike &= length[i] % parts[i] == 0;
      pool.kernel[i] = pool.stride[i] = length[i] / parts[i];
    }
    if (!alike) pool.kernel = pool.stride = {1, 1, 1}, pool.bins = parts;
    return graph.node(op::Pool{pool, false}, {input}, pool.out());
  }
  pool.kernel = graph.axes("kernel", kernel, 1);
  pool.stride = stride.empty() ? pool.kernel : graph.axes("stride", stride, 1);
  pool.pad = graph.axes("pad", pad, 0);
  pool.ceil = ceil, pool.count_padding = count_padding;
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

namespace {

/// The means along one axis as a matrix (out, in), or its transpose.
std::string means(OnnxWriter& model, const PoolAxis& axis, bool transposed, const char* suffix) {
  std::vector<float> values(static_cast<std::size_t>(axis.out) * static_cast<std::size_t>(axis.in));
  for (int o = 0; o < axis.out; ++o) {
    for (int i = axis.start(o); i < axis.end(o); ++i) {
      const int at = transposed ? i * axis.out + o : o * axis.in + i;
      values[static_cast<std::size_t>(at)] = 1.0f / static_cast<float>(axis.end(o) - axis.start(o));
    }
  }
  return transposed ? model.matrix(axis.in, axis.out, values, suffix)
                    : model.matrix(axis.out, axis.in, values, suffix);
}

/// ONNX has no mean over parts of unequal size: a product per axis with the matrix of its means.
std::string adaptive_average(OnnxWriter& model, const PoolShape& shape, const std::string& x) {
  const PoolAxis d = shape.axis(0), h = shape.axis(1), w = shape.axis(2);
  const bool volume = model.spatial({0, 0, 0}).size() == 3;
  std::string y = model.emit("MatMul", {x, means(model, w, true, ".means_w")}, {}, ".along_w");
  y = model.emit("MatMul", {means(model, h, false, ".means_h"), y}, {}, volume ? ".along_h" : "");
  if (!volume) return y;
  const std::vector<std::int64_t> height_first{0, 1, 3, 2, 4};
  y = model.emit("Transpose", {y}, {{"perm", height_first}}, ".height_first");
  y = model.emit("MatMul", {means(model, d, false, ".means_d"), y}, {}, ".along_d");
  return model.emit("Transpose", {y}, {{"perm", height_first}});
}

}  // namespace

OnnxValue op::Pool::write(OnnxWriter& model) const {
  const std::string x = model.with_axes(model.x());
  if (shape.adaptive()) return {adaptive_average(model, shape, x)};
  const Axes whole{shape.in.d, shape.in.h, shape.in.w};
  if (!max && shape.kernel == whole && shape.pad == Axes{0, 0, 0})
    return {model.emit("GlobalAveragePool", {x})};
  std::vector<OnnxAttribute> attributes{{"kernel_shape", model.spatial(shape.kernel)},
                                        {"strides", model.spatial(shape.stride)},
                                        {"pads", model.pads(shape.pad)}};
  if (shape.ceil) attributes.push_back({"ceil_mode", std::int64_t{1}});
  if (!max) attributes.push_back({"count_include_pad", std::int64_t{shape.count_padding}});
  return {model.emit(max ? "MaxPool" : "AveragePool", {x}, attributes)};
}

}  // namespace convoy
