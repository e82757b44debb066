#include "src/study/conduct.h"

#include <algorithm>

#include "core/error.h"
#include "core/printable.h"
#include "core/regular_file.h"
#include "src/io/atomic_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// The last line of a log that says something.
std::string last_line(const fs::path& log) {
  std::string text;
  try {
    text = read_file(log);
  } catch (const Error&) {
    return {};
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return printable(text.substr(text.rfind('\n') + 1));
}

/// The text of this study in its folder.
void claim(const Study& study, const fs::path& folder) {
  const fs::path file = folder / "study.yaml";
  fs::create_directories(folder);
  if (!fs::exists(file)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with("run.lock")) continue;
      fail_usage("{}: is not empty and holds no study ({}); name another folder", folder.string(),
                 entry.path().filename().string());
    }
    write_file_atomically(file, study.text);
  } else if (read_file(file) != study.text) {
    fail_usage(
        "{}: holds another study, or this one before its file or a configuration was changed; name "
        "another folder, or remove it",
        folder.string());
  }
  for (const char* part : {"losses", "speeds", "calls", "runs"}) fs::create_directories(folder / part);
}

class Conductor {
 public:
  Conductor(const Study& study, const StudyPlace& place, const std::function<bool()>& stop,
            const StudyProgress& progress)
      : study_(study), place_(place), stop_(stop), progress_(progress) {}

  StudyResults run() {
    claim(study_, place_.folder);
    for (std::size_t e = 0; e < study_.engines.size(); ++e) {
      const std::string lack = what_lacks(study_.engines[e], place_);
      if (lack.empty() && study_.engines[e].pytorch.empty()) own_.push_back(e);
      if (lack.empty())
        engines_.push_back(e);
      else
        results_.left_out.push_back(fmt::format("{}: {}", study_.engines[e].name(), lack));
    }
    for (const std::string& line : results_.left_out) progress_("left out: " + line);
    const std::size_t rounds = static_cast<std::size_t>(study_.rounds);
    cells_ = study_.variants.size() * ((study_.compare ? 1 + own_.size() : 0) + engines_.size() * rounds + 1 +
                                       (study_.train ? study_.seeds.size() : 0));
    if (study_.compare) compare();
    measure();
    time_calls();
    if (study_.train) train();
    return std::move(results_);
  }

 private:
  /// Whether its result is there; runs it where it is not.
  bool finish(const StudyCell& cell) {
    ++begun_;
    if (is_done(cell)) return true;
    if (stop_()) return false;
    progress_(fmt::format("[{}/{}] {}", begun_, cells_, cell.title));
    if (!cell.config.empty()) write_file_atomically(cell.config, cell.config_text);
    const int code = run_child(cell.command, cell.log, stop_);
    if (code == 0 && is_done(cell)) return true;
    if (stop_()) return false;
    results_.failures.push_back(fmt::format("{}: exit code {}: {}", cell.title, code, last_line(cell.log)));
    progress_("failed: " + results_.failures.back());
    return false;
  }

  void compare() {
    for (std::size_t v = 0; v < study_.variants.size(); ++v) {
      const StudyCell truth = truth_cell(study_, place_, v);
      if (!finish(truth)) continue;
      for (const std::size_t e : own_) {
        const StudyCell cell = gate_cell(study_, place_, v, e);
        if (finish(cell)) results_.gates.push_back(read_gate(cell, truth, study_.engines[e]));
      }
    }
  }

  void measure() {
    for (int round = 0; round < study_.rounds; ++round) {
      for (std::size_t v = 0; v < study_.variants.size(); ++v) {
        for (const std::size_t e : engines_) {
          const StudyCell cell = speed_cell(study_, place_, v, e, round);
          if (finish(cell)) add_speed(results_.speeds, cell);
        }
      }
    }
  }

  /// Of those whose speed is known; the first engine where none is.
  std::size_t fastest(std::size_t variant) const {
    std::size_t best = own_.front();
    double most = 0;
    for (const std::size_t e : own_) {
      const SpeedResult* speed = results_.speed(variant, e);
      if (speed != nullptr && speed->median() > most) most = speed->median(), best = e;
    }
    return best;
  }

  void time_calls() {
    for (std::size_t v = 0; v < study_.variants.size() && !own_.empty(); ++v) {
      // Calls are timed on one rank.
      std::size_t engine = fastest(v);
      if (study_.engines[engine].ranks > 1) {
        const auto alone = std::find_if(own_.rbegin(), own_.rend(),
                                        [&](std::size_t e) { return study_.engines[e].ranks == 1; });
        if (alone == own_.rend()) continue;
        engine = *alone;
      }
      const StudyCell cell = calls_cell(study_, place_, v, engine);
      if (finish(cell)) results_.calls.push_back(read_calls(cell));
    }
  }

  void train() {
    for (const int seed : study_.seeds) {
      for (std::size_t v = 0; v < study_.variants.size() && !own_.empty(); ++v) {
        const StudyCell cell = run_cell(study_, place_, v, fastest(v), seed);
        if (finish(cell)) results_.runs.push_back(read_run_result(cell));
      }
    }
  }

  const Study& study_;
  const StudyPlace& place_;
  const std::function<bool()>& stop_;
  const StudyProgress& progress_;
  std::vector<std::size_t> engines_;  ///< that this machine has
  std::vector<std::size_t> own_;      ///< of these Convoy's
  std::size_t cells_ = 0, begun_ = 0;
  StudyResults results_;
};

}  // namespace

StudyResults conduct(const Study& study, const StudyPlace& place, const std::function<bool()>& stop,
                     const StudyProgress& progress) {
  return Conductor(study, place, stop, progress).run();
}

}  // namespace convoy
