#include "src/layers/concat.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

constexpr std::size_t most_branches = 64;

/// Adds a slice of the input's channels.
struct ChannelSlice {
  int first, count;
  int add(GraphBuilder& graph, int input) const {
    FeatureShape shape = graph.shape(input);
    shape.c = count;
    return graph.node(op::Slice{first}, {input}, shape);
  }
};

bool same_pixels(const FeatureShape& a, const FeatureShape& b) {
  return a.d == b.d && a.h == b.h && a.w == b.w;
}

std::int64_t rows_of(const Emitter& plan) {
  return plan.n() * plan.node().out.pixels();
}

}  // namespace

std::vector<Kind<LayerConfig>> ConcatConfig::kinds() {
  using C = ConcatConfig;
  return {layer_kind<C>(
      "concat", "channels of several branches side by side", {}, "branches",
      {field("branches", &C::lists, layer_lists(2, most_branches), "the branches; an empty one: identity")
           .require(),
       field("split", &C::split, boolean(), "each branch gets its equal share of the channels, not all")},
      "concat: [[conv: {out: 3, kernel: 1}], []]")};
}

std::vector<const std::vector<LayerConfig>*> ConcatConfig::branches() const {
  std::vector<const std::vector<LayerConfig>*> all;
  for (const std::vector<LayerConfig>& list : lists) all.push_back(&list);
  return all;
}

int ConcatConfig::add(GraphBuilder& graph, int input) const {
  const auto count = static_cast<int>(lists.size());
  const int share = graph.shape(input).c / count;
  if (split && share * count != graph.shape(input).c)
    graph.reject("split: {} channels cannot be split evenly among {} branches", graph.shape(input).c, count);
  std::vector<int> ends;
  FeatureShape out;
  for (int i = 0; i < count; ++i) {
    const std::string label = fmt::format("branches.{}", i);
    const int begin = split ? graph.part(label, ChannelSlice{i * share, share}, input) : input;
    ends.push_back(
        graph.chain(lists[static_cast<std::size_t>(i)], begin, fmt::format("{}.{}.", graph.name(), label)));
    const FeatureShape& shape = graph.shape(ends.back());
    if (i == 0) {
      out = shape;
      continue;
    }
    if (!same_pixels(out, shape))
      graph.reject("concat: branch 0 gives {}, branch {} {}", to_string(graph.shape(ends[0])), i,
                   to_string(shape));
    if (shape.c > most_channels - out.c) graph.reject("concat: more than {} channels", most_channels);
    out.c += shape.c;
  }
  return graph.node(op::Concat{}, ends, out);
}

bool ConcatConfig::operator==(const ConcatConfig& other) const {
  return lists == other.lists && split == other.split;
}

void op::Concat::forward(Emitter& plan) const {
  ConcatChannels call;
  call.rows = rows_of(plan);
  for (std::size_t i = 0; i < plan.node().inputs.size(); ++i) {
    call.c.push_back(plan.shape_of_x(i).c);
    call.x.push_back(plan.x(i));
  }
  call.y = plan.make_y();
  plan.emit(call);
}

void op::Concat::backward(Emitter& plan) const {
  int first = 0;
  for (std::size_t i = 0; i < plan.node().inputs.size(); ++i) {
    const int count = plan.shape_of_x(i).c;
    if (plan.wants_dx(i)) {
      const Tensor dx = plan.fresh_dx(i);
      plan.emit(SliceChannels{rows_of(plan), plan.node().out.c, first, count, plan.dy(), dx});
      plan.add_dx(dx, i);
    }
    first += count;
  }
}

OnnxValue op::Concat::write(OnnxWriter& model) const {
  bool flat = false, memory_order = false;
  for (std::size_t i = 0; i < model.node().inputs.size(); ++i) {
    flat |= model.x(i).flat;
    memory_order |= model.x(i).memory_order;
  }
  std::vector<std::string> inputs;
  for (std::size_t i = 0; i < model.node().inputs.size(); ++i)
    inputs.push_back(flat ? model.flattened(model.x(i)).name : model.x(i).name);
  return {model.emit("Concat", inputs, {{"axis", std::int64_t{1}}}), flat, memory_order};
}

void op::Slice::forward(Emitter& plan) const {
  plan.emit(
      SliceChannels{rows_of(plan), plan.shape_of_x().c, first, plan.node().out.c, plan.x(), plan.make_y()});
}

void op::Slice::backward(Emitter& plan) const {
  const int count = plan.node().out.c;
  const Tensor dx = plan.fresh_dx();
  plan.emit(ConcatChannels{rows_of(plan),
                           {first, count, plan.shape_of_x().c - first - count},
                           {Tensor{}, plan.dy(), Tensor{}},
                           dx});
  plan.add_dx(dx);
}

OnnxValue op::Slice::write(OnnxWriter& model) const {
  return model.like_x(model.emit("Slice", {model.x().name, model.numbers({first}),
                                           model.numbers({first + model.node().out.c}), model.numbers({1})}));
}

}  // namespace convoy
