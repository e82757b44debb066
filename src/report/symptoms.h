// Signs that training has gone wrong, from the results of an epoch.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "src/config/config.h"
#include "src/run/run_folder.h"
#include "src/session/session.h"

namespace convoy {

/// Statistics of the gradients of a layer in one step with a whole batch.
struct LayerGradients {
  std::string layer;                 ///< "3", as in the network's list of layers
  std::int64_t units = 0, dead = 0;  ///< output channels; those whose weights' gradients are all exactly zero
  double rms = 0;                    ///< of the gradients of its weights, without a loss scale
};

/// What is known at an epoch's end.
struct EpochEvidence {
  EpochRecord record;
  int classes = 0;
  std::int64_t steps = 0;                 ///< of an epoch
  bool learnable = true;                  ///< labels depend on the images
  bool weighs = false;                    ///< the training loss is focal, or has weights of classes
  bool warmed_up = true;                  ///< the schedule's warm-up is over
  std::vector<std::int64_t> labels;       ///< of the validation images, so many per class
  std::vector<std::int64_t> predicted;    ///< the same of the network's answers; empty: not known
  std::vector<LayerGradients> gradients;  ///< empty: not looked at in this epoch
  double gradient_norm = 0;               ///< of all weights, with `gradients`
  float clip_norm = 0;
  std::vector<double> norms;              ///< before clipping, of steps spread over the epoch
  std::optional<LossScale> scale_before;  ///< an epoch ago, or at the start
};

struct Symptom {
  std::string name;  ///< "chance", "one_class", "dead_units", "vanishing_gradients", "clipped", "loss_scale"
  std::string text;  ///< what is so and what to try
};

/// The signs that are present; none if all is well.
std::vector<Symptom> symptoms_of(const EpochEvidence& evidence);

/// Rank 0's: gathers the evidence of a run, at a few steps of an epoch and at its end. Reads the engine's
/// memory, but joins no collective.
class SymptomWatch {
 public:
  SymptomWatch(const Config& config, Session& session);

  /// Called after the epoch's batch `index` is queued. Waits for it in a few steps of an epoch.
  void after_step(int epoch, std::int64_t index);
  /// The signs that are present for the first time. `predictions` may be empty.
  std::vector<Symptom> at_epoch_end(const EpochRecord& record, const Predictions& predictions);
  /// Names of the signs that were present at the last epoch's end.
  const std::vector<std::string>& present() const { return present_; }

 private:
  void look_at_gradients();

  const Config& config_;
  Session& session_;
  std::int64_t whole_batch_ = 0;  ///< index of the epoch's last batch that is not a short one; -1: all are
  EpochEvidence evidence_;        ///< of the epoch so far
  std::set<std::string> said_;
  std::vector<std::string> present_;
};

}  // namespace convoy
