// cuDNN's best for a layer of the probes, to be timed beside them.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "bench/cudnn_convolution.h"

namespace convoy::probe {

/// Executes one convolution on several sets of tensors, with the configuration that took the least time on
/// the first: of all that cuDNN's heuristics name, each from an empty cache, as `convoy bench ops` chooses.
class CudnnBar {
 public:
  explicit CudnnBar(cudaStream_t stream);
  /// `sets`: x, w and y, or their gradients, of each set.
  void choose(const CudnnProblem& problem, const std::vector<std::array<void*, 3>>& sets);
  void run(int set) const;
  /// The engine's number and how many configurations were tried.
  const std::string& name() const { return name_; }

 private:
  cudaStream_t stream_;
  CudnnHandle handle_;
  std::vector<std::unique_ptr<CudnnConvolution>> convolutions_;
  std::vector<CudnnConvolution::Executable> executables_;
  std::string name_;
};

}  // namespace convoy::probe
