#include "tests/kernels/op_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <type_traits>

#include "core/ceil_div.h"
#include "core/random.h"
#include "tests/test_environment.h"

namespace convoy::testing {
namespace {

constexpr std::byte poison{0xFF};  // floats read as NaN, integers as -1: never a valid result
constexpr std::byte other_poison{0};
constexpr std::int64_t alignment = 256, guard = 256;

template <class T>
void encode(const Values& values, std::byte* to) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(values[i]);  // by way of float where T has 16 bits
    std::memcpy(to + i * sizeof(T), &value, sizeof(T));
  }
}
template <class T>
Values decode(const std::byte* from, std::int64_t count) {
  Values values;
  for (std::int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    if constexpr (std::is_arithmetic_v<T>)
      values.push_back(static_cast<double>(value));
    else
      values.push_back(static_cast<double>(static_cast<float>(value)));
  }
  return values;
}
void encode(DType type, const Values& values, std::byte* to) {
  switch (type) {
    case DType::f32:
      return encode<float>(values, to);
    case DType::f64:
      return encode<double>(values, to);
    case DType::f16:
      return encode<Half>(values, to);
    case DType::bf16:
      return encode<BFloat16>(values, to);
    case DType::i32:
      return encode<std::int32_t>(values, to);
    case DType::u8:
      return encode<std::uint8_t>(values, to);
  }
}
/// Replaces declared tensors by bound ones and notes which are written.
struct Binder {
  const std::vector<Variable>& bound;
  std::vector<bool>& written;

  void reads(Tensor& tensor) const {
    if (tensor) tensor = bound.at(static_cast<std::size_t>(tensor.offset)).tensor;
  }
  void writes(Tensor& tensor) const {
    if (tensor) written.at(static_cast<std::size_t>(tensor.offset)) = true;
    reads(tensor);
  }
  void updates(Tensor& tensor) const { writes(tensor); }
};

std::uint32_t word(std::uint64_t seed, std::int64_t i) {
  return random4(seed, Purpose::initialize, 0, static_cast<std::uint64_t>(i)).v[0];
}

}  // namespace

Values decode(DType type, const std::byte* from, std::int64_t count) {
  switch (type) {
    case DType::f32:
      return decode<float>(from, count);
    case DType::f64:
      return decode<double>(from, count);
    case DType::f16:
      return decode<Half>(from, count);
    case DType::bf16:
      return decode<BFloat16>(from, count);
    case DType::i32:
      return decode<std::int32_t>(from, count);
    case DType::u8:
      return decode<std::uint8_t>(from, count);
  }
  return {};
}

Source::Source(Values values)
    : count_(static_cast<std::int64_t>(values.size())),
      make_([values = std::move(values)] { return values; }) {}

Tensor OpCase::input(const std::string& variable, Source values, DType type) {
  const auto id = static_cast<std::int64_t>(variables.size());
  const Tensor tensor{Arena::unplaced, type, id, values.count()};
  variables.push_back({variable, tensor, std::move(values)});
  return tensor;
}

Tensor OpCase::result(const std::string& variable, std::int64_t count, DType type) {
  const Tensor tensor{Arena::unplaced, type, static_cast<std::int64_t>(variables.size()), count};
  variables.push_back({variable, tensor, {}});
  return tensor;
}

Tensor OpCase::project(const Tensor& function_output, const std::string& variable) {
  output = function_output;
  projection = uniform(function_output.count, -1, 1, 77);
  return input(variable, projection);
}

OpCase in_storage(OpCase op, DType type, std::initializer_list<const char*> variables, double tolerance) {
  op.name += std::string("_") + name_of(type);
  op.tolerance = tolerance;
  op.gradients.clear();
  for (Variable& variable : op.variables) {
    if (std::find(variables.begin(), variables.end(), variable.name) == variables.end()) continue;
    variable.tensor.dtype = type;
    if (variable.initial.count() > 0) variable.initial = rounded_to(type, variable.initial);
  }
  return op;
}

std::vector<OpCase> in_16_bits(const std::vector<OpCase>& cases, std::initializer_list<const char*> variables,
                               double roundings) {
  std::vector<OpCase> out;
  for (const OpCase& op : cases) {
    out.push_back(in_storage(op, DType::f16, variables, op.tolerance + roundings * 0x1p-11));
    out.push_back(in_storage(op, DType::bf16, variables, op.tolerance + roundings * 0x1p-8));
  }
  return out;
}

Source uniform(std::int64_t count, double low, double high, std::uint64_t seed) {
  return {count, [=] {
            Values values;
            for (std::int64_t i = 0; i < count; ++i) {
              const auto share = static_cast<double>(uniform01(word(seed, i)));
              values.push_back(static_cast<float>(low + (high - low) * share));
            }
            return values;
          }};
}

Source rounded_to(DType type, const Source& values) {
  return {values.count(), [=] {
            Values rounded = values.values();
            std::vector<std::byte> stored(rounded.size() * static_cast<std::size_t>(size_of(type)));
            encode(type, rounded, stored.data());
            return decode(type, stored.data(), values.count());
          }};
}

Source integers(std::int64_t count, int bound, std::uint64_t seed) {
  return {count, [=] {
            Values values;
            for (std::int64_t i = 0; i < count; ++i) {
              values.push_back(uniform_below(word(seed, i), static_cast<std::uint32_t>(bound)));
            }
            return values;
          }};
}

Source distinct(std::int64_t count, std::uint64_t seed) {
  return {
      count, [=] {
        Values values;
        for (std::int64_t i = 0; i < count; ++i) {
          values.push_back(static_cast<float>(2.0 * static_cast<double>(i) / static_cast<double>(count) - 1));
        }
        for (std::int64_t i = count - 1; i > 0; --i) {
          const auto j = uniform_below(word(seed, i), static_cast<std::uint32_t>(i + 1));
          std::swap(values[static_cast<std::size_t>(i)], values[j]);
        }
        return values;
      }};
}

OpRunner::OpRunner(const OpCase& op, EngineKind kind)
    : name_(op.name), variables_(op.variables), state_(op.state), engine_(make_engine(kind, ranks())) {
  std::int64_t used = guard;
  for (Variable& variable : variables_) {
    Tensor& tensor = variable.tensor;
    const bool is_real = is_float(tensor.dtype) && tensor.dtype != DType::f64;
    if (tensor.dtype == DType::f32 || (is_real && kind != EngineKind::cuda)) tensor.dtype = engine_->real();
    tensor.arena = Arena::activations;
    tensor.offset = used;
    used += ceil_div(tensor.bytes() + guard, alignment) * alignment;
    initial_.push_back(variable.initial.values());
  }
  written_.resize(variables_.size());

  Plan plan;
  plan.name = op.name;
  std::int64_t scratch = 0;
  for (Call call : op.calls) {
    visit_tensors(call, Binder{variables_, written_});
    scratch = std::max(scratch, engine_->workspace_bytes(call));
    plan.steps.push_back({std::move(call), op.name});
  }
  memory_ = {Arena::activations, DType::u8, 0, used};
  scratch_ = {Arena::workspace, DType::u8, 0, scratch};
  plan.arenas[static_cast<std::size_t>(Arena::activations)] = used;
  plan.arenas[static_cast<std::size_t>(Arena::workspace)] = scratch;
  engine_->allocate(plan.arenas);
  plan_ = engine_->load(plan);
}

std::vector<Values> OpRunner::run() {
  before_.assign(static_cast<std::size_t>(memory_.count), poison);
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    encode(variables_[i].tensor.dtype, initial_[i], before_.data() + variables_[i].tensor.offset);
  }
  engine_->write(memory_, before_.data());
  const std::vector<std::byte> noise(static_cast<std::size_t>(scratch_.count), poison);
  engine_->write(scratch_, noise.data());
  engine_->run(plan_, state_);
  after_.resize(before_.size());
  engine_->read(memory_, after_.data());

  std::vector<bool> may_change(after_.size());
  std::vector<Values> results;
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    const Tensor& tensor = variables_[i].tensor;
    const std::byte* data = after_.data() + tensor.offset;
    results.push_back(decode(tensor.dtype, data, tensor.count));
    if (!written_[i]) continue;
    std::fill_n(may_change.begin() + tensor.offset, tensor.bytes(), true);
    const std::int64_t size = size_of(tensor.dtype);
    const std::vector<std::byte> again =
        tensor.dtype == DType::u8 ? run_with(tensor, other_poison) : std::vector<std::byte>{};
    for (std::int64_t e = 0; e < tensor.count; ++e) {
      const bool written =
          tensor.dtype == DType::u8  // any byte may be a result, but it must not be what was there before
              ? again[static_cast<std::size_t>(e)] == data[e]
              : !std::all_of(data + e * size, data + (e + 1) * size, [](std::byte b) { return b == poison; });
      if (written) continue;
      ADD_FAILURE() << name_ << ": " << variables_[i].name << "[" << e << "] of " << tensor.count
                    << " was not written (or is computed from memory that nothing wrote)";
      break;
    }
  }
  for (std::size_t i = 0; i < after_.size(); ++i) {
    if (may_change[i] || after_[i] == before_[i]) continue;
    ADD_FAILURE() << name_ << ": byte " << i << " changed, outside every result";
    break;
  }
  return results;
}

std::vector<std::byte> OpRunner::run_with(const Tensor& tensor, std::byte filler) {
  std::vector<std::byte> bytes = before_;
  std::fill_n(bytes.begin() + tensor.offset, tensor.bytes(), filler);
  engine_->write(memory_, bytes.data());
  engine_->run(plan_, state_);
  engine_->read(memory_, bytes.data());
  return {bytes.begin() + tensor.offset, bytes.begin() + tensor.offset + tensor.bytes()};
}

void expect_close(const std::string& what, const Values& expected, const Values& actual, DType type,
                  double tolerance) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  double squares = 0;
  for (const double value : expected) squares += std::isfinite(value) ? value * value : 0;
  const double scale = expected.empty() ? 0 : std::sqrt(squares / static_cast<double>(expected.size()));
  const double allowed = is_float(type) ? tolerance : 0;

  std::size_t worst = 0, differing = 0;
  double worst_excess = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i], a = actual[i];
    if (e == a || (std::isnan(e) && std::isnan(a))) continue;
    double excess = std::abs(e - a) / (allowed * (std::abs(e) + scale));
    if (std::isnan(excess)) excess = HUGE_VAL;
    if (excess <= 1) continue;
    ++differing;
    if (excess > worst_excess) worst_excess = excess, worst = i;
  }
  if (differing == 0) return;
  ADD_FAILURE() << what << ": " << differing << " of " << expected.size() << " differ, most at [" << worst
                << "]: expected " << expected[worst] << ", got " << actual[worst] << ", " << worst_excess
                << " times the tolerance " << tolerance;
}

void expect_repeated_bits(const OpCase& op, EngineKind kind) {
  OpRunner runner(op, kind);
  runner.run();
  const std::vector<std::byte> first = runner.bytes();
  runner.run();
  EXPECT_TRUE(runner.bytes() == first) << "a second run gives other bits";
}

std::vector<OpCase> with_gradients(const std::vector<OpCase>& cases) {
  std::vector<OpCase> some;
  std::copy_if(cases.begin(), cases.end(), std::back_inserter(some),
               [](const OpCase& op) { return !op.gradients.empty(); });
  return some;
}

}  // namespace convoy::testing
