// A small network and data set for tests of whole steps and runs.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/session/session.h"
#include "tests/temporary_folder.h"

namespace convoy::testing {

/// Every kind of layer that could make a step depend on the rank count: groups that span ranks, dropout,
/// branches.
inline const std::string tiny_yaml = R"(
name: tiny
seed: 3
data: {source: digits, normalize: {mean: [0.4], std: [0.3]}, augment: [{crop: {pad: 1, mode: reflect}}, {flip: horizontal}]}
model:
  input: [2, 6, 6]
  layers:
    - conv: {out: 4, kernel: 3, pad: same}
    - batchnorm: {group: 3}
    - relu
    - residual:
        body:
          - conv: {out: 4, kernel: 3, pad: same, bias: false}
          - batchnorm
          - gelu
    - maxpool: 2
    - dropout: 0.25
    - flatten
    - linear: 3
train: {epochs: 2, global_batch: 8, label_smoothing: 0.1, bucket_mb: 0.0005}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01}
device: cpu
checkpoint: {every_epochs: 1, keep: 0}
)";

/// What tests that mpirun starts say of themselves when they are alone.
inline constexpr const char* several_ranks_needed = "needs several ranks: mpirun -np 2 convoy_tests";
/// Whether engines of this kind cannot run on every rank here, and what tests say then.
inline bool lacks_devices(EngineKind kind, const RankEnvironment& ranks) {
  return kind == EngineKind::cuda && cuda_device_count() < ranks.local_size();
}
inline std::string devices_needed(const RankEnvironment& ranks) {
  return fmt::format("needs {} CUDA devices, found {}", ranks.local_size(), cuda_device_count());
}

/// The name of a test's instance.
inline std::string engine_name(const ::testing::TestParamInfo<EngineKind>& info) {
  switch (info.param) {
    case EngineKind::reference_f32:
      return "reference_f32";
    case EngineKind::reference_f64:
      return "reference_f64";
    case EngineKind::cpu:
      return "cpu";
    case EngineKind::cuda:
      return "cuda";
  }
  return "unknown";
}

/// Random images and labels; `train` of them for training, `validation` more behind them.
inline Dataset tiny_data(int train, int validation) {
  Dataset data;
  data.image = {1, 6, 6, 2};
  data.classes = 3;
  for (int i = 0; i < train + validation; ++i) {
    (i < train ? data.train : data.validation).push_back(i);
    data.labels.push_back(
        static_cast<int>(random4(5, Purpose::split, 1, static_cast<std::uint64_t>(i)).v[0] % 3));
    for (int p = 0; p < 72; ++p) {
      const auto index = static_cast<std::uint64_t>(i * 72 + p);
      data.images.push_back(static_cast<std::uint8_t>(random4(5, Purpose::split, 2, index).v[0]));
    }
  }
  return data;
}

inline Config tiny_config(std::vector<std::string> overrides = {}) {
  return parse_config(tiny_yaml, "tiny.yaml", overrides);
}

/// Runs `epochs` epochs of a session, all steps at the peak learning rate.
inline void train_epochs(Session& session, const Config& config, int first, int epochs) {
  for (int epoch = first; epoch < first + epochs; ++epoch) {
    session.begin_epoch(epoch);
    for (int i = 0; i < session.steps_per_epoch(); ++i) {
      StepState state;
      state.step = (epoch - 1) * session.steps_per_epoch() + i;
      state.learning_rate = config.optimizer.lr;
      session.train_batch(i, state);
    }
  }
}

/// All parameters and running averages, one after the other.
inline std::vector<double> weights_of(Session& session) {
  std::vector<double> all;
  for (const NamedTensor& named : session.named_tensors(false)) {
    const std::vector<double> values = session.read_values(named.tensor);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

/// The largest |a - b|, infinity when the sizes differ.
inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 1e300;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

/// A variable of the environment for the life of a scope; null removes it.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~ScopedVariable() { set(before_ ? before_->c_str() : nullptr); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  void set(const char* value) const {
    if (value == nullptr)
      unsetenv(name_);
    else
      setenv(name_, value, 1);
  }
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace convoy::testing
