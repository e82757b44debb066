#include "src/layers/activation.h"

#include "kernels/elementwise.h"
#include "src/config/layer_schema.h"
#include "src/export/onnx_expression.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {

std::vector<Kind<LayerConfig>> ActivationConfig::kinds() {
  using C = ActivationConfig;
  std::vector<Kind<LayerConfig>> kinds;
  for_each_type(Activations{}, [&]<class A>() {
    C prototype{A::kind};
    std::string short_key;
    std::vector<Field<C>> fields;
    if constexpr (requires { A::parameter; }) {
      constexpr ActivationParameter p = A::parameter;
      prototype.parameter = p.initial;
      short_key = p.name;
      fields.push_back(field(p.name, &C::parameter, number<float>(half_open(p.least, p.limit)), p.help));
    }
    kinds.push_back(layer_kind<C>(A::name, A::help, prototype, short_key, fields, "",
                                  [](const C& config) { return config.kind == A::kind; }));
  });
  return kinds;
}

int ActivationConfig::add(GraphBuilder& graph, int input) const {
  return graph.node(op::Activate{kind, parameter}, {input}, graph.shape(input));
}

void op::Activate::forward(Emitter& plan) const {
  plan.emit(ActivationForward{kind, parameter, plan.x(), plan.make_y()});
}

void op::Activate::backward(Emitter& plan) const {
  const Tensor dx = plan.fresh_dx();
  plan.emit(
      ActivationBackward{kind, parameter, backward_needs_input(kind) ? plan.x() : plan.y(), plan.dy(), dx});
  plan.add_dx(dx);
}

OnnxValue op::Activate::write(OnnxWriter& model) const {
  const char* formula = nullptr;
  with_activation(kind, parameter, [&]<class A>(A) { formula = A::onnx; });
  return model.like_x(emit_expression(model, formula, parameter));
}

}  // namespace convoy
