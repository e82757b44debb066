#include "src/plan/fusion.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/plan/access.h"

namespace convoy {
namespace {

using Index = std::size_t;

std::vector<Index> readers_of(const Plan& plan, const Tensor& tensor) {
  std::vector<Index> readers;
  for (Index i = 0; i < plan.steps.size(); ++i) {
    if (overlap(access_of(plan.steps[i].call).read, tensor)) readers.push_back(i);
  }
  return readers;
}

template <class C>
const C* call_at(const Plan& plan, std::optional<Index> step) {
  return step ? std::get_if<C>(&plan.steps[*step].call) : nullptr;
}
/// The call that writes the tensor, where a call of this type does.
template <class C>
std::optional<Index> writer_of(const Plan& plan, const Tensor& tensor) {
  for (Index i = 0; i < plan.steps.size(); ++i) {
    if (call_at<C>(plan, i) != nullptr && overlap(access_of(plan.steps[i].call).written, tensor)) return i;
  }
  return std::nullopt;
}
/// The one call that reads the tensor, where it is of this type.
template <class C>
std::optional<Index> only_reader_of(const Plan& plan, const Tensor& tensor) {
  const std::vector<Index> readers = readers_of(plan, tensor);
  if (readers.size() != 1 || call_at<C>(plan, readers[0]) == nullptr) return std::nullopt;
  return readers[0];
}

/// Whether call `from` may run where call `to` is: no call in between depends on it, apart from `merged`, and
/// none waits for sums over ranks.
bool can_move(const Plan& plan, Index from, Index to, const std::vector<Index>& merged = {}) {
  const Access moved = access_of(plan.steps[from].call);
  for (Index i = std::min(from, to) + 1; i < std::max(from, to); ++i) {
    if (std::find(merged.begin(), merged.end(), i) != merged.end()) continue;
    const Access passed = access_of(plan.steps[i].call);
    if (std::holds_alternative<Join>(plan.steps[i].call) || overlap(moved.written, passed.read) ||
        overlap(moved.written, passed.written) || overlap(moved.read, passed.written)) {
      return false;
    }
  }
  return true;
}

/// Puts `call` where step `at` is, which is one of `steps`, and removes the others; false when the engine
/// lacks it.
bool merge(Plan& plan, const EngineHas& has, std::vector<Index> steps, Index at, Call call) {
  if (!has(call)) return false;
  std::sort(steps.begin(), steps.end());
  std::string node;
  for (const Index step : steps) {
    const std::string& name = plan.steps[step].node;
    if (node != name) node += (node.empty() ? "" : "+") + name;
  }
  plan.steps[at] = {std::move(call), std::move(node), plan.steps[at].phase};
  for (Index i = steps.size(); i-- > 0;) {
    if (steps[i] != at) plan.steps.erase(plan.steps.begin() + static_cast<std::ptrdiff_t>(steps[i]));
  }
  return true;
}

/// relu and leaky_relu as kernels take them along; nothing for what is not piecewise linear.
template <class ActivationCall>
std::optional<LeakyReluEpilogue> epilogue_of(const ActivationCall& call) {
  if (call.kind == Activation::relu) return LeakyReluEpilogue{0.0f};
  if (call.kind == Activation::leaky_relu) return LeakyReluEpilogue{call.parameter};
  return std::nullopt;
}

/// Tries `function(step, call)` on every call of a type until one returns true.
template <class C, class Function>
bool any_step(const Plan& plan, Function function) {
  for (Index i = 0; i < plan.steps.size(); ++i) {
    const C* call = call_at<C>(plan, i);
    if (call != nullptr && function(i, C(*call))) return true;
  }
  return false;
}

template <class Plain, class Fused>
bool fuse_product(Plan& plan, const EngineHas& has) {
  return any_step<Plain>(plan, [&](Index at, Plain plain) {
    const auto next = only_reader_of<ActivationForward>(plan, plain.y);
    if (!next || !can_move(plan, at, *next)) return false;
    const ActivationForward activation = *call_at<ActivationForward>(plan, next);
    const auto epilogue = epilogue_of(activation);
    if (!epilogue) return false;
    plain.y = activation.y;
    return merge(plan, has, {at, *next}, *next, Fused{{plain, *epilogue, {}}});
  });
}

/// `sum` adds what the normalisation computes to a shortcut.
template <class Plain, class Fused>
bool fuse_batchnorm(Plan& plan, const EngineHas& has) {
  return any_step<ActivationForward>(plan, [&](Index at, const ActivationForward& activation) {
    const auto epilogue = epilogue_of(activation);
    if (!epilogue || readers_of(plan, activation.x).size() != 1) return false;
    const auto fuse_with = [&](const Tensor& normalized, const Tensor& residual, std::vector<Index> steps) {
      const auto from = writer_of<Plain>(plan, normalized);
      if (!from || readers_of(plan, normalized).size() != 1 || !can_move(plan, *from, at, steps)) {
        return false;
      }
      Plain plain = *call_at<Plain>(plan, from);
      plain.y = activation.y;
      steps.push_back(*from);
      return merge(plan, has, std::move(steps), at, Fused{{plain, *epilogue, residual}});
    };
    if (fuse_with(activation.x, {}, {at})) return true;
    const auto sum_at = writer_of<Add>(plan, activation.x);
    if (!sum_at || !can_move(plan, *sum_at, at)) return false;
    const Add sum = *call_at<Add>(plan, sum_at);
    // Of two branches that end in a normalisation, the second ends next to the sum.
    return fuse_with(sum.b, sum.a, {*sum_at, at}) || fuse_with(sum.a, sum.b, {*sum_at, at});
  });
}

}  // namespace

bool fuse_activation_into_product(Plan& plan, const EngineHas& has) {
  return fuse_product<ConvForward, ConvActivation>(plan, has) ||
         fuse_product<LinearForward, LinearActivation>(plan, has);
}

bool fuse_statistics_into_convolution(Plan& plan, const EngineHas& has) {
  return any_step<BatchNormStatistics>(plan, [&](Index at, const BatchNormStatistics& statistics) {
    const auto from = writer_of<ConvForward>(plan, statistics.x);
    if (!from || !can_move(plan, at, *from)) return false;
    const ConvForward conv = *call_at<ConvForward>(plan, from);
    if (!takes_statistics(conv, statistics.shape)) return false;
    return merge(plan, has, {*from, at}, *from,
                 ConvStatistics{conv, statistics.shape, {}, statistics.sums, {}, {}, {}, {}});
  });
}

bool fuse_moments_into_statistics(Plan& plan, const EngineHas& has) {
  return any_step<ConvStatistics>(plan, [&](Index at, ConvStatistics fused) {
    const auto next = only_reader_of<BatchNormMoments>(plan, fused.sums);
    if (!next || !can_move(plan, *next, at)) return false;
    const BatchNormMoments moments = *call_at<BatchNormMoments>(plan, next);
    fused.share = moments.share;
    fused.mean = moments.mean, fused.inv_std = moments.inv_std;
    fused.batch_mean = moments.batch_mean, fused.batch_var = moments.batch_var;
    return merge(plan, has, {at, *next}, at, fused);
  });
}

bool fuse_activation_into_batchnorm(Plan& plan, const EngineHas& has) {
  return fuse_batchnorm<BatchNormForward, BatchNormActivation>(plan, has) ||
         fuse_batchnorm<BatchNormInference, BatchNormInferenceActivation>(plan, has);
}

bool fuse_activation_into_maxpool_backward(Plan& plan, const EngineHas& has) {
  return any_step<MaxPoolBackward>(plan, [&](Index at, MaxPoolBackward plain) {
    const auto next = only_reader_of<ActivationBackward>(plan, plain.dx);
    const auto pooling_at = writer_of<MaxPoolForward>(plan, plain.argmax);
    if (!next || !pooling_at || !can_move(plan, at, *next)) return false;
    const ActivationBackward activation = *call_at<ActivationBackward>(plan, next);
    const MaxPoolForward pooling = *call_at<MaxPoolForward>(plan, pooling_at);
    const auto epilogue = epilogue_of(activation);
    // The winner's value stands in for the activation's output only where that is what was pooled.
    if (!epilogue || activation.dy != plain.dx || activation.saved != pooling.x) return false;
    plain.dx = activation.dx;
    return merge(plan, has, {at, *next}, *next, MaxPoolActivationBackward{plain, *epilogue, pooling.y, {}});
  });
}

bool fuse_bias_gradient(Plan& plan, const EngineHas& has) {
  return any_step<BiasGrad>(plan, [&](Index at, const BiasGrad& bias) {
    if (const auto from = writer_of<ActivationBackward>(plan, bias.dy)) {
      const ActivationBackward activation = *call_at<ActivationBackward>(plan, from);
      const auto epilogue = epilogue_of(activation);
      if (!epilogue || !can_move(plan, at, *from)) return false;
      return merge(plan, has, {*from, at}, *from,
                   ActivationBiasGrad{bias.rows, bias.c, *epilogue, activation.saved, activation.dy,
                                      activation.dx, bias.db});
    }
    const auto from = writer_of<MaxPoolActivationBackward>(plan, bias.dy);
    if (!from || !can_move(plan, at, *from)) return false;
    MaxPoolActivationBackward pooling = *call_at<MaxPoolActivationBackward>(plan, from);
    if (pooling.db || !tiles_input(pooling.plain.shape) || bias.c != pooling.plain.shape.in.c) return false;
    pooling.db = bias.db;
    return merge(plan, has, {*from, at}, *from, pooling);
  });
}

bool fuse_activation_into_batchnorm_backward(Plan& plan, const EngineHas& has) {
  return any_step<ActivationBackward>(plan, [&](Index at, const ActivationBackward& activation) {
    const auto epilogue = epilogue_of(activation);
    const std::vector<Index> readers = readers_of(plan, activation.dx);
    const auto first = std::find_if(readers.begin(), readers.end(), [&](Index reader) {
      return call_at<BatchNormReduce>(plan, reader) != nullptr;
    });
    if (!epilogue || first == readers.end()) return false;
    BatchNormReduce reduce = *call_at<BatchNormReduce>(plan, *first);

    // If no other call reads the masked gradient, it is never written: both passes compute the mask again.
    const auto forward_at = writer_of<BatchNormActivation>(plan, activation.saved);
    const auto* forward = call_at<BatchNormActivation>(plan, forward_at);
    const bool recomputable = forward != nullptr && !forward->residual && forward->plain.x == reduce.x &&
                              std::all_of(readers.begin(), readers.end(), [&](Index reader) {
                                const auto* backward = call_at<BatchNormBackward>(plan, reader);
                                return reader == *first || (backward != nullptr && backward->x == reduce.x);
                              });
    if (recomputable) {
      const BatchNormForward norm = forward->plain;
      reduce.dy = activation.dy;
      const BatchNormActivationReduce fused{reduce, *epilogue, norm.gamma, norm.beta};
      if (!has(fused) || !has(BatchNormActivationBackward{})) return false;
      for (const Index reader : readers) {
        if (reader == *first) continue;
        BatchNormBackward backward = *call_at<BatchNormBackward>(plan, reader);
        backward.dy = activation.dy;
        plan.steps[reader].call = BatchNormActivationBackward{backward, *epilogue, norm.beta};
      }
      return merge(plan, has, {at, *first}, *first, fused);
    }
    if (!can_move(plan, *first, at)) return false;
    return merge(plan, has, {at, *first}, at,
                 ActivationBatchNormReduce{reduce, *epilogue, activation.saved, activation.dy, {}});
  });
}

bool fuse_sum_into_batchnorm_backward(Plan& plan, const EngineHas& has) {
  return any_step<ActivationBatchNormReduce>(plan, [&](Index at, ActivationBatchNormReduce fused) {
    const auto sum_at = writer_of<Add>(plan, fused.dy);
    if (fused.term || !sum_at || readers_of(plan, fused.dy).size() != 1 || !can_move(plan, *sum_at, at)) {
      return false;
    }
    const Add sum = *call_at<Add>(plan, sum_at);
    fused.dy = sum.a, fused.term = sum.b;
    return merge(plan, has, {*sum_at, at}, at, fused);
  });
}

std::vector<FusionRule> fusion_rules() {
  return {fuse_statistics_into_convolution,
          fuse_moments_into_statistics,
          fuse_activation_into_product,
          fuse_activation_into_batchnorm,
          fuse_activation_into_maxpool_backward,
          fuse_bias_gradient,
          fuse_activation_into_batchnorm_backward,
          fuse_sum_into_batchnorm_backward};
}

Plan fuse(Plan plan, const EngineHas& has, const std::vector<FusionRule>& rules) {
  for (const FusionRule rule : rules) {
    while (rule(plan, has)) {
    }
  }
  return plan;
}

}  // namespace convoy
