#include "src/plan/emitter.h"

#include <algorithm>

#include "src/plan/access.h"

namespace convoy {

Emitter::Emitter(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
                 bool training, int stage)
    : graph_(graph), layout_(layout), config_(config), batch_(batch), training_(training), stage_(stage) {
  values_.resize(graph.nodes.size());
  gradients_.resize(graph.nodes.size());
  saved_.resize(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    const auto own = [&](int i) { return this->trains(i); };
    const auto before = [&](int i) { return trains_[at(i)]; };
    trains_.push_back(std::any_of(node.parameters.begin(), node.parameters.end(), own) ||
                      std::any_of(node.inputs.begin(), node.inputs.end(), before));
  }
}

void Emitter::forward() {
  for (current_ = 1; current_ < graph_.nodes.size(); ++current_)
    std::visit([&](const auto& o) { o.forward(*this); }, node().op);
}

void Emitter::backward() {
  phase_ = Phase::backward;
  for (current_ = graph_.nodes.size() - 1; current_ > 0; --current_) {
    if (!trains_[current_]) continue;
    const std::size_t first = plan_.steps.size();
    std::visit([&](const auto& o) { o.backward(*this); }, node().op);
    for (const int index : node().parameters) {
      if (!trains(index)) continue;
      const bool written = std::any_of(
          plan_.steps.begin() + static_cast<std::ptrdiff_t>(first), plan_.steps.end(),
          [&](const Step& step) { return overlap(access_of(step.call).written, gradient(index)); });
      if (!written)
        fail("internal error: no call of layer {} computes the gradient of {}", node().name,
             graph_.parameters[at(index)].name);
    }
  }
}

void Emitter::add_dx(const Tensor& term, std::size_t which) {
  if (!wants_dx(which)) return;
  Tensor& sum = gradients_[input(which)];
  if (!sum) {
    sum = term;
    return;
  }
  const Tensor total = fresh(term.count);
  emit(Add{sum, term, total});
  sum = total;
}

Tensor Emitter::parameter(int index) const {
  if (index < 0) return {};
  const Tensor& tensor = layout_.parameters[at(index)];
  return averaged() ? same_place(tensor, layout_.average) : tensor;
}

Tensor Emitter::compute_weights(int index) const {
  const Tensor& block = averaged() ? layout_.average_compute_weights : layout_.compute_weights;
  return block && index >= 0 ? same_place(layout_.parameters[at(index)], block) : parameter(index);
}

Tensor Emitter::gradient(int index) {
  if (index < 0) return {};
  return trains(index) ? in_this_pass(layout_.gradients[at(index)])
                       : fresh(layout_.parameters[at(index)].count, layout_.real);
}

bool Emitter::is_frozen() const {
  const std::vector<int>& own = node().parameters;
  return !own.empty() && std::none_of(own.begin(), own.end(), [&](int i) { return trains(i); });
}

}  // namespace convoy
