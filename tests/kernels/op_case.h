// One case, many tests: a short program of calls with its inputs, run by every engine.
//
// A case declares tensors and calls. The same case is checked against central differences (in double, on the
// reference), and every engine's results against the reference's in double.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "src/engine/engine.h"

namespace convoy::testing {

/// Elements of a tensor of any type; all of them fit a double.
using Values = std::vector<double>;

/// Elements as they lie in memory.
Values decode(DType type, const std::byte* from, std::int64_t count);

/// Values made when a test wants them, not when it is declared: thousands of cases cost nothing to list.
class Source {
 public:
  Source() = default;
  Source(Values values);
  Source(std::initializer_list<double> values) : Source(Values(values)) {}
  Source(std::int64_t count, std::function<Values()> make) : count_(count), make_(std::move(make)) {}
  std::int64_t count() const { return count_; }
  Values values() const { return make_ ? make_() : Values{}; }

 private:
  std::int64_t count_ = 0;
  std::function<Values()> make_;
};

/// A declared tensor. Where `initial` is empty the memory is poisoned before the run.
struct Variable {
  std::string name;
  Tensor tensor;
  Source initial;
};

struct OpCase {
  std::string name;
  std::vector<Variable> variables;
  std::vector<Call> calls;
  StepState state;
  /// Largest allowed |difference| of floats over (|expected| + the expected tensor's root mean square).
  double tolerance = 1e-5;
  /// The same of results stored in 16 bits, where it differs: their own rounding is in it.
  double storage_tolerance = 0;

  /// For the gradient check: the function is sum(projection * output); `gradients` pairs each variable with
  /// the tensor in which the calls leave the function's derivative by it.
  Tensor output;
  Source projection;
  std::vector<std::pair<Tensor, Tensor>> gradients;

  /// Declares a tensor; f32 stands for the engine's real type, as 16-bit types do where the engine has none.
  /// Empty values declare an empty input.
  Tensor input(const std::string& variable, Source values, DType type = DType::f32);
  Tensor result(const std::string& variable, std::int64_t count, DType type = DType::f32);
  /// The gradient of the function by `output`, for the calls that take it: `count` random values.
  Tensor project(const Tensor& function_output, const std::string& variable);
};

/// The case with the named variables stored in a 16-bit type by engines that know it, inputs rounded to it.
OpCase in_storage(OpCase op, DType type, std::initializer_list<const char*> variables, double tolerance);
/// All of the cases in f16 and in bf16, whose names end so. The tolerance grows by `roundings` times what one
/// rounding to the type does to a value at most (2^-11 and 2^-8 of it).
std::vector<OpCase> in_16_bits(const std::vector<OpCase>& cases, std::initializer_list<const char*> variables,
                               double roundings);

/// For gtest's messages.
inline void PrintTo(const OpCase& op, std::ostream* out) {
  *out << op.name;
}

/// `count` values that float holds exactly, uniform in [low, high), the same for the same arguments.
Source uniform(std::int64_t count, double low, double high, std::uint64_t seed);
/// The same values rounded to a 16-bit type.
Source rounded_to(DType type, const Source& values);
/// Integers in [0, bound).
Source integers(std::int64_t count, int bound, std::uint64_t seed);
/// A shuffle of `count` values spaced evenly in [-1, 1): no ties, so that a maximum has no kink nearby.
Source distinct(std::int64_t count, std::uint64_t seed);

/// A case in an engine's memory: every tensor between guard bytes in one arena.
class OpRunner {
 public:
  OpRunner(const OpCase& op, EngineKind kind);

  /// Poisons memory and scratch, writes the inputs, runs, and reports any byte that changed outside the
  /// results and any result that was not written. Returns the values of every variable afterwards.
  std::vector<Values> run();
  /// The input that the next run starts from.
  Values& initial(const Tensor& declared) { return initial_.at(static_cast<std::size_t>(declared.offset)); }
  Engine& engine() { return *engine_; }
  /// All memory after the last run, for comparisons bit by bit.
  const std::vector<std::byte>& bytes() const { return after_; }

 private:
  /// What a run leaves in `tensor` whose bytes were `filler` before.
  std::vector<std::byte> run_with(const Tensor& tensor, std::byte filler);

  std::string name_;
  std::vector<Variable> variables_;  ///< with tensors bound to the arena
  std::vector<Values> initial_;
  std::vector<bool> written_;  ///< per variable: some call writes or updates it
  StepState state_;
  std::unique_ptr<Engine> engine_;
  Tensor memory_, scratch_;  ///< the whole arenas, as bytes
  std::vector<std::byte> before_, after_;
  int plan_ = 0;
};

/// Reports (as a gtest failure) where `actual` differs from `expected`: floats beyond the tolerance, others
/// at all.
void expect_close(const std::string& what, const Values& expected, const Values& actual, DType type,
                  double tolerance);

/// Reports when a second run gives other bits.
void expect_repeated_bits(const OpCase& op, EngineKind kind);

/// Suites over cases; a test file instantiates them with its own.
class OpTest : public ::testing::TestWithParam<OpCase> {};
class OpGradientTest : public ::testing::TestWithParam<OpCase> {};
/// For cases in_16_bits, which only CUDA stores so.
class OpStorageTest : public ::testing::TestWithParam<OpCase> {};

/// Those cases that declare gradients.
std::vector<OpCase> with_gradients(const std::vector<OpCase>& cases);

#define CONVOY_OP_TESTS(Op, cases)                                                           \
  INSTANTIATE_TEST_SUITE_P(Op, OpTest, ::testing::ValuesIn(cases()),                         \
                           [](const auto& instance) { return instance.param.name; });        \
  INSTANTIATE_TEST_SUITE_P(Op, OpGradientTest, ::testing::ValuesIn(with_gradients(cases())), \
                           [](const auto& instance) { return instance.param.name; })
#define CONVOY_STORAGE_TESTS(Op, cases)                                     \
  INSTANTIATE_TEST_SUITE_P(Op, OpStorageTest, ::testing::ValuesIn(cases()), \
                           [](const auto& instance) { return instance.param.name; })

}  // namespace convoy::testing
