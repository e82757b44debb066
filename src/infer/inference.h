// A trained network that only answers: no data set, no gradients, no other ranks.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "src/engine/engine.h"
#include "src/infer/trained_model.h"
#include "src/plan/layout.h"

namespace convoy {

/// Computes what evaluation would: BatchNorm takes its running averages, weights are the moving averages
/// where the run has some. Not for several threads at a time.
class Inference {
 public:
  /// Takes up to `batch` images at once. On the CPU it has up to `threads` threads, fewer for a small
  /// network. On the CPU it computes in fp32 whatever the model was trained in. Throws Error when the device
  /// is not there or has not the memory, or naming a tensor that is missing or misshapen.
  Inference(const TrainedModel& model, Device device, int batch,
            int threads = std::numeric_limits<int>::max());
  ~Inference();

  int batch() const { return batch_; }
  std::string device() const { return engine_->describe(); }
  /// `images` (count,D,H,W,C), any count -> logits (count,classes).
  std::vector<float> logits(std::span<const std::uint8_t> images);

 private:
  struct LoadedPlan {
    int handle = 0;
    Tensor logits;
    int threads = 1;  ///< that are worth starting, on the CPU
  };
  void load_plans(const TrainedModel& model, const Config& config);
  void write_weights(const TrainedModel& model);

  const RankEnvironment alone_;
  const int batch_, threads_;
  const std::int64_t image_bytes_;
  std::unique_ptr<Engine> engine_;
  Layout layout_;
  std::map<int, LoadedPlan> plans_;  ///< by number of images: one, and a full batch
};

}  // namespace convoy
