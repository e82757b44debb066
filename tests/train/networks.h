// Networks and configurations for tests of plan passes over whole steps, for tiny_data()
// (tests/train/support.h).
#pragma once

#include <fmt/format.h>

#include <string>

#include "src/config/config.h"

namespace convoy::testing {

/// Layers: a first convolution with `stem` behind its batchnorm, two residual blocks, the second of which has
/// `width` channels and half the height and width, then `last`, an activation.
inline std::string residual_layers(const std::string& stem, int width, const std::string& last) {
  return fmt::format(R"(
    - conv: {{out: 8, kernel: 3, pad: same, bias: false}}
    - batchnorm
    - relu
{stem}    - residual:
        body:
          - conv: {{out: 8, kernel: 3, pad: same, bias: false}}
          - batchnorm: {{group: 3}}
          - relu
          - conv: {{out: 8, kernel: 3, pad: same, bias: false}}
          - batchnorm
    - relu
    - residual:
        body:
          - conv: {{out: {width}, kernel: 3, stride: 2, pad: 1, bias: false}}
          - batchnorm
        shortcut:
          - conv: {{out: {width}, kernel: 1, stride: 2, bias: false}}
          - batchnorm
    - {last}
    - globalavgpool
    - linear: 3
)",
                     fmt::arg("stem", stem), fmt::arg("width", width), fmt::arg("last", last));
}

/// Layers of networks since 2017, with random numbers per image.
inline std::string modern_layers() {
  return R"(
    - conv: {out: 8, kernel: 3, pad: same}
    - layernorm
    - silu
    - concat: [[], [conv: {out: 8, kernel: 3, pad: same}, groupnorm: 2, hardswish]]
    - channel_shuffle: 2
    - concat: {split: true, branches: [[], [conv: {out: 8, kernel: 3, pad: same}, relu6]]}
    - squeeze_excite: {squeeze: 4, activation: elu, gate: hardsigmoid}
    - residual: [conv: {out: 16, kernel: 1}, layer_scale: 0.5, drop_path: 0.25]
    - conv: {out: 8, kernel: 3, pad: same}
    - globalavgpool
    - linear: 3
)";
}

/// These layers, trained in batches of 8. `train`: more keys of that section, as "fusion: true".
inline Config step_config(const std::string& layers, const std::string& train,
                          const std::string& device = "auto",
                          const std::string& optimizer = "{name: sgd, lr: 0.05, momentum: 0.9}") {
  const std::string yaml = fmt::format(R"(
seed: 3
data: {{source: digits, normalize: {{mean: [0.4], std: [0.3]}}}}
model:
  input: [2, 6, 6]
  layers:
{}
train: {{global_batch: 8, {}}}
optimizer: {}
device: {}
)",
                                       layers, train, optimizer, device);
  return parse_config(yaml, "network.yaml", {});
}

}  // namespace convoy::testing
