// Calls that do the work of two or three others in one pass over memory. Only an engine that declares a
// launcher has them; the fusion pass puts them in the place of the plain calls (src/plan/fusion.h). `plain`
// is the call whose formula and shape they follow.
#pragma once

#include <string>

#include "kernels/batchnorm.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/epilogue.h"
#include "kernels/elementwise.h"
#include "kernels/leaky_relu_epilogue.h"
#include "kernels/linear.h"
#include "kernels/pool.h"

namespace convoy {

/// y = f(what Plain computes + residual); without a residual, f of that alone.
template <class Plain>
struct WithActivation {
  Plain plain;
  LeakyReluEpilogue activation;
  Tensor residual;  ///< only after batch normalisation
  std::int64_t flops() const { return plain.flops() + plain.y.count + residual.count; }
  std::string describe() const { return plain.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    Plain::visit(call.plain, v), v.reads(call.residual);
  }
};
struct ConvActivation : WithActivation<ConvForward> {
  static constexpr const char* name = "conv.fprop+act";
};
struct LinearActivation : WithActivation<LinearForward> {
  static constexpr const char* name = "linear.fprop+act";
};
struct BatchNormActivation : WithActivation<BatchNormForward> {
  static constexpr const char* name = "batchnorm.fprop+act";
  BatchNormActivation again() const { return *this; }
};
struct BatchNormInferenceActivation : WithActivation<BatchNormInference> {
  static constexpr const char* name = "batchnorm.infer+act";
};

/// y of ConvForward, and from y as it is stored the sums of BatchNormStatistics; with a `mean`, which only
/// sums that are complete here allow, BatchNormMoments too.
struct ConvStatistics {
  static constexpr const char* name = "conv.fprop+bn.stats";
  ConvForward plain;
  BatchNormShape norm;
  double share = 1.0;
  Tensor sums, mean, inv_std, batch_mean, batch_var;

  BatchNormStatistics statistics() const { return {norm, plain.y, sums}; }
  BatchNormMoments moments() const { return {norm, share, sums, mean, inv_std, batch_mean, batch_var}; }
  std::int64_t flops() const { return plain.flops() + statistics().flops() + (mean ? moments().flops() : 0); }
  std::string describe() const { return plain.describe() + (mean ? ", moments" : ""); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    ConvForward::visit(call.plain, v), v.writes(call.sums);
    v.writes(call.mean), v.writes(call.inv_std);
    v.writes(call.batch_mean), v.writes(call.batch_var);
  }
};
/// Whether the convolution's kernels can accumulate the sums of batch normalisation: it has no groups, the
/// output has 16 bits, C and K are divisible by 8, and no run of 64 pixels spans two groups of images.
constexpr bool takes_statistics(const ConvForward& conv, const BatchNormShape& norm) {
  if (conv.shape.groups != 1) return false;
  const bool halves = conv.y.dtype == DType::f16 || conv.y.dtype == DType::bf16;
  if (!halves || conv.shape.in.c % 8 != 0 || conv.shape.k % 8 != 0) return false;
  for (std::int64_t image = norm.group - norm.first % norm.group; image < norm.n; image += norm.group) {
    if (image * norm.pixels % moment_pixels != 0) return false;
  }
  return true;
}

/// dx (rows,C) = dy f'(y), and db (C), its sum over the rows.
struct ActivationBiasGrad {
  static constexpr const char* name = "act.dgrad+bias.grad";
  std::int64_t rows = 0;
  int c = 0;
  LeakyReluEpilogue activation;
  Tensor y, dy, dx, db;
  std::int64_t flops() const { return 2 * rows * c; }
  std::string describe() const { return fmt::format("rows={} c={}", rows, c); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.y), v.reads(call.dy), v.writes(call.dx), v.writes(call.db);
  }
};

/// dx = dy f'(y) routed to the winning taps. `y` is the pooling's output: the winner's value, so that the
/// larger tensor before the pooling is not read. With `db` (C): also its sum over all pixels, for windows
/// that tile x.
struct MaxPoolActivationBackward {
  static constexpr const char* name = "maxpool.dgrad+act";
  MaxPoolBackward plain;
  LeakyReluEpilogue activation;
  Tensor y, db;
  std::int64_t flops() const { return plain.flops() + y.count + (db ? y.count : 0); }
  std::string describe() const { return plain.describe() + (db ? ", bias" : ""); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    MaxPoolBackward::visit(call.plain, v);
    v.reads(call.y), v.writes(call.db);
  }
};
/// Whether each pixel of x belongs to exactly one window.
constexpr bool tiles_input(const PoolShape& s) {
  const int extent[] = {s.in.d, s.in.h, s.in.w};
  for (std::size_t i = 0; i < 3; ++i) {
    if (s.kernel[i] != s.stride[i] || s.pad[i] != 0 || extent[i] % s.kernel[i] != 0) return false;
  }
  return true;
}

/// The sums of BatchNormReduce with dy f'(y) in the place of dy, y = f(gamma x̂ + beta) computed anew.
struct BatchNormActivationReduce {
  static constexpr const char* name = "batchnorm.reduce+act";
  BatchNormReduce plain;
  LeakyReluEpilogue activation;
  Tensor gamma, beta;
  std::int64_t flops() const { return plain.flops() + 3 * plain.shape.count(); }
  std::string describe() const { return plain.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    BatchNormReduce::visit(call.plain, v);
    v.reads(call.gamma), v.reads(call.beta);
  }
};
/// dx of BatchNormBackward likewise.
struct BatchNormActivationBackward {
  static constexpr const char* name = "batchnorm.dgrad+act";
  BatchNormBackward plain;
  LeakyReluEpilogue activation;
  Tensor beta;
  std::int64_t flops() const { return plain.flops() + 3 * plain.shape.count(); }
  std::string describe() const { return plain.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    BatchNormBackward::visit(call.plain, v);
    v.reads(call.beta);
  }
};
/// plain.dy = (dy + term) f'(y), kept because a shortcut needs it too, and the sums of BatchNormReduce over
/// it. `term` is the gradient that comes through the next shortcut; without one, dy alone.
struct ActivationBatchNormReduce {
  static constexpr const char* name = "act.dgrad+bn.reduce";
  BatchNormReduce plain;
  LeakyReluEpilogue activation;
  Tensor y, dy, term;
  std::int64_t flops() const { return plain.flops() + plain.shape.count() + term.count; }
  std::string describe() const { return plain.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.plain.x), v.reads(call.y), v.reads(call.dy), v.reads(call.term);
    v.reads(call.plain.mean), v.reads(call.plain.inv_std);
    v.writes(call.plain.dy), v.writes(call.plain.sums), v.writes(call.plain.dgamma);
    v.writes(call.plain.dbeta);
  }
};

void launch(const CudaContext&, const ConvActivation&);
void launch(const CudaContext&, const ConvStatistics&);
void launch(const CudaContext&, const LinearActivation&);
void launch(const CudaContext&, const BatchNormActivation&);
void launch(const CudaContext&, const BatchNormInferenceActivation&);
void launch(const CudaContext&, const ActivationBiasGrad&);
void launch(const CudaContext&, const MaxPoolActivationBackward&);
void launch(const CudaContext&, const BatchNormActivationReduce&);
void launch(const CudaContext&, const BatchNormActivationBackward&);
void launch(const CudaContext&, const ActivationBatchNormReduce&);

// Partial sums per block, and what a grouped convolution needs; defined beside the launchers.
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvActivation&);
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvStatistics&);
template <>
std::int64_t workspace_bytes<CudaContext>(const ActivationBiasGrad&);
template <>
std::int64_t workspace_bytes<CudaContext>(const MaxPoolActivationBackward&);
template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormActivationReduce&);
template <>
std::int64_t workspace_bytes<CudaContext>(const ActivationBatchNormReduce&);

}  // namespace convoy
