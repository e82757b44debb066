#include "src/bench/single_call.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/random.h"
#include "src/engine/tensor_values.h"
#include "src/plan/passes.h"

namespace convoy {
namespace {

/// Gives every tensor an identifier of its own; those that share memory keep sharing it.
struct Unbinder {
  std::map<std::pair<Arena, std::int64_t>, std::int64_t> identifiers;
  void unbind(Tensor& tensor) {
    if (!tensor) return;
    const auto next = static_cast<std::int64_t>(identifiers.size());
    tensor.offset = identifiers.try_emplace({tensor.arena, tensor.offset}, next).first->second;
    tensor.arena = Arena::unplaced;
  }
  void reads(Tensor& tensor) { unbind(tensor); }
  void writes(Tensor& tensor) { unbind(tensor); }
  void updates(Tensor& tensor) { unbind(tensor); }
};

struct TensorList {
  std::vector<Tensor> tensors;
  void add(const Tensor& tensor) {
    if (tensor && tensor.count > 0) tensors.push_back(tensor);
  }
  void reads(const Tensor& tensor) { add(tensor); }
  void writes(const Tensor& tensor) { add(tensor); }
  void updates(const Tensor& tensor) { add(tensor); }
};

bool is_integer(DType type) {
  return type == DType::i32 || type == DType::u8;
}

constexpr std::int64_t pattern_length = 1 << 20;  ///< elements after which random values repeat

/// The bytes of the first elements, once they have been written: the engine knows the encoding of its types.
std::vector<std::byte> pattern_of(Engine& engine, const Tensor& tensor) {
  const Tensor head = slice(tensor, 0, std::min(tensor.count, pattern_length));
  std::vector<std::byte> bytes(static_cast<std::size_t>(head.bytes()));
  if (is_integer(tensor.dtype)) return bytes;
  std::vector<double> values(static_cast<std::size_t>(head.count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Random4 words = random4(1, Purpose::initialize, 0, i / 4);
    values[i] = 2.0 * static_cast<double>(uniform01(words.v[i % 4])) - 1.0;
  }
  write_values(engine, head, values);
  engine.read(head, bytes.data());
  return bytes;
}

}  // namespace

Plan plan_of_call(Call call, const std::string& node, const Engine& engine) {
  visit_tensors(call, Unbinder{});
  Plan plan;
  plan.name = node;
  plan.steps.push_back({std::move(call), node});
  return place_tensors(std::move(plan), Layout{}, [&](const Call& c) { return engine.workspace_bytes(c); });
}

void fill_at_random(Engine& engine, const Plan& plan) {
  TensorList list;
  for (const Step& step : plan.steps) visit_tensors(step.call, list);
  std::map<DType, std::vector<std::byte>> patterns;  // of the longest tensor of a type, for the others too
  std::stable_sort(list.tensors.begin(), list.tensors.end(),
                   [](const Tensor& a, const Tensor& b) { return a.count > b.count; });
  for (const Tensor& tensor : list.tensors) {
    auto pattern = patterns.find(tensor.dtype);
    if (pattern == patterns.end()) pattern = patterns.emplace(tensor.dtype, pattern_of(engine, tensor)).first;
    for (std::int64_t first = 0; first < tensor.count; first += pattern_length) {
      engine.write(slice(tensor, first, std::min(pattern_length, tensor.count - first)),
                   pattern->second.data());
    }
  }
}

std::vector<double> times_of(Engine& engine, int plan, int repeats, double most_seconds) {
  constexpr int fewest = 3;
  StepState state;
  state.learning_rate = 1e-3f;
  engine.run(plan, state);  // first touch of memory, whatever is chosen or loaded at a first run
  engine.synchronize();
  std::vector<double> seconds;
  double spent = 0;
  for (int i = 0; i < repeats && (i < fewest || spent < most_seconds); ++i) {
    seconds.push_back(engine.time(plan, state));
    spent += seconds.back();
  }
  return seconds;
}

}  // namespace convoy
