#include "src/study/cells.h"

#include <unistd.h>

#include <cstdlib>

#include "core/error.h"
#include "core/python.h"
#include "src/config/value.h"
#include "src/engine/engine.h"
#include "src/run/run_list.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// What engines are compared on: losses of so many steps, each of so many images.
constexpr int gate_steps = 3, gate_batch = 16;

/// The first program of that name on the PATH; empty: none.
fs::path on_path(const std::string& name) {
  const char* variable = std::getenv("PATH");
  const std::string path = variable != nullptr ? variable : "";
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const fs::path program = fs::path(path.substr(begin, end - begin)) / name;
    if (::access(program.c_str(), X_OK) == 0 && !program.parent_path().empty()) return program;
    begin = end + 1;
  }
  return {};
}

const char* device_word(Device device) {
  return device == Device::cuda ? "cuda" : device == Device::reference ? "reference" : "cpu";
}

ChildCommand command_on(const StudyEngine& engine, const StudyPlace& place) {
  ChildCommand command;
  // Threads of a rank of Open MPI would share one core. MPICH, which knows neither word, takes them from the
  // environment alone.
  if (engine.ranks > 1) {
    command.words = {"mpirun", "-np", std::to_string(engine.ranks)};
    command.variables = {"OMPI_MCA_hwloc_base_binding_policy=none", "OMPI_MCA_rmaps_base_oversubscribe=1",
                         "PRTE_MCA_hwloc_default_binding_policy=none",
                         "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe"};
    if (::geteuid() == 0) {
      command.variables.push_back("OMPI_ALLOW_RUN_AS_ROOT=1");
      command.variables.push_back("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1");
    }
  }
  const int threads = engine.threads > 0 ? engine.threads : engine.ranks > 1 ? 1 : 0;
  if (engine.device == Device::cpu && threads > 0)
    command.variables.push_back(fmt::format("OMP_NUM_THREADS={}", threads));
  command.words.push_back(place.program.string());
  return command;
}

/// A cell of `program COMMAND ... CONFIG key=value ...`.
StudyCell cell_of(StudyCell::Kind kind, const Study& study, const StudyPlace& place, std::size_t variant,
                  const StudyEngine& engine, const std::vector<std::string>& subcommand) {
  const StudyVariant& what = study.variants[variant];
  StudyCell cell;
  cell.kind = kind, cell.variant = variant;
  cell.command = command_on(engine, place);
  std::vector<std::string>& words = cell.command.words;
  words.insert(words.end(), subcommand.begin(), subcommand.end());
  words.push_back(what.config.string());
  words.insert(words.end(), what.overrides.begin(), what.overrides.end());
  words.push_back(fmt::format("device={}", device_word(engine.device)));
  words.push_back(fmt::format("train.precision={}", name_of(engine.precision)));
  return cell;
}

fs::path file_of(const StudyPlace& place, const char* folder, const Study& study, std::size_t variant,
                 const std::string& rest) {
  return place.folder / folder / file_name_of(study.variants[variant].name + " " + rest);
}

/// `result` and, beside it, its log.
void set_result(StudyCell& cell, const fs::path& stem, const char* ending) {
  cell.result = stem.string() + ending;
  cell.log = stem.string() + ".log";
}

void ask_for_losses(StudyCell& cell, const fs::path& stem) {
  set_result(cell, stem, ".safetensors");
  std::vector<std::string>& words = cell.command.words;
  words.push_back(fmt::format("train.global_batch={}", gate_batch));
  words.insert(words.end(), {"--steps", std::to_string(gate_steps), "--output", cell.result.string()});
}

/// bench/torch_speed.py of the clone that the program was built in; empty: it was not.
fs::path torch_script(const StudyPlace& place) {
  for (fs::path folder = place.program.parent_path(); folder.has_relative_path();
       folder = folder.parent_path()) {
    if (const fs::path script = folder / "bench" / "torch_speed.py"; fs::is_regular_file(script))
      return script;
  }
  return {};
}

/// A network's configuration with nothing left to look up, for PyTorch.
std::string resolved(const StudyVariant& variant, const StudyEngine& engine) {
  std::vector<std::string> overrides = variant.overrides;
  if (engine.batch > 0) overrides.push_back(fmt::format("train.global_batch={}", engine.batch));
  return to_yaml(load_config(variant.config.string(), overrides));
}

/// Speeds are of random images, so no data set needs to be there; one image takes as long in any batch where
/// steps are run one after the other.
void ask_for_batch(StudyCell& cell, const StudyEngine& engine) {
  if (engine.batch > 0) cell.command.words.push_back(fmt::format("train.global_batch={}", engine.batch));
}

}  // namespace

std::string what_lacks(const StudyEngine& engine, const StudyPlace& place) {
  if (!engine.pytorch.empty()) {
    if (torch_script(place).empty())
      return "bench/torch_speed.py is not beside the program; study in a clone of the source";
    const char* question =
        engine.device == Device::cuda ? "import torch, yaml; torch.cuda.init()" : "import torch, yaml";
    if (run_child({{chosen_python(), "-c", question}, {}}, place.folder / "pytorch.log",
                  [] { return false; }) != 0)
      return fmt::format("{} cannot {}; name another Python in CONVOY_PYTHON", chosen_python(), question);
    return {};
  }
  if (engine.device == Device::cuda && cuda_device_count() < engine.ranks)
    return fmt::format("this machine has {} of {} GPUs", cuda_device_count(), engine.ranks);
  if (engine.ranks > 1 && on_path("mpirun").empty()) return "there is no mpirun on the PATH";
  return {};
}

StudyCell truth_cell(const Study& study, const StudyPlace& place, std::size_t variant) {
  StudyEngine engine;
  engine.device = Device::reference, engine.precision = Precision::fp64;
  StudyCell cell = cell_of(StudyCell::Kind::truth, study, place, variant, engine, {"bench", "losses"});
  cell.title = fmt::format("first losses of {} in double precision", study.variants[variant].name);
  ask_for_losses(cell, file_of(place, "losses", study, variant, "reference fp64"));
  return cell;
}

StudyCell gate_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine) {
  const StudyEngine& by = study.engines[engine];
  StudyCell cell = cell_of(StudyCell::Kind::gate, study, place, variant, by, {"bench", "losses"});
  cell.engine = engine;
  cell.title = fmt::format("first losses of {} on {}", study.variants[variant].name, by.name());
  ask_for_losses(cell, file_of(place, "losses", study, variant, by.name()));
  return cell;
}

StudyCell speed_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine,
                     int round) {
  const StudyEngine& by = study.engines[engine];
  StudyCell cell = cell_of(StudyCell::Kind::speed, study, place, variant, by, {"bench", "step"});
  cell.engine = engine, cell.number = round;
  cell.title = fmt::format("speed of {} on {}, round {} of {}", study.variants[variant].name, by.name(),
                           round + 1, study.rounds);
  set_result(cell, file_of(place, "speeds", study, variant, fmt::format("{} round {}", by.name(), round + 1)),
             ".json");
  std::vector<std::string>& words = cell.command.words;
  if (by.pytorch.empty()) {
    ask_for_batch(cell, by);
  } else {
    cell.config_text = resolved(study.variants[variant], by);
    cell.config = cell.result.parent_path() / (cell.result.stem().string() + ".yaml");
    words = {chosen_python(),
             torch_script(place).string(),
             cell.config.string(),
             "--device",
             device_word(by.device),
             "--mode",
             by.pytorch,
             "--precision",
             name_of(by.precision)};
    if (by.threads > 0) words.insert(words.end(), {"--threads", std::to_string(by.threads)});
  }
  words.insert(words.end(), {"--seconds", fmt::format("{}", study.seconds), "--json", cell.result.string()});
  return cell;
}

StudyCell calls_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine) {
  const StudyEngine& by = study.engines[engine];
  StudyCell cell = cell_of(StudyCell::Kind::calls, study, place, variant, by, {"bench", "ops"});
  cell.engine = engine;
  cell.title = fmt::format("calls of a step of {} on {}", study.variants[variant].name, by.name());
  set_result(cell, file_of(place, "calls", study, variant, by.name()), ".json");
  ask_for_batch(cell, by);
  cell.command.words.insert(cell.command.words.end(),
                            {"--all", "--rival", "none", "--json", cell.result.string()});
  return cell;
}

StudyCell run_cell(const Study& study, const StudyPlace& place, std::size_t variant, std::size_t engine,
                   int seed) {
  const StudyEngine& by = study.engines[engine];
  StudyCell cell = cell_of(StudyCell::Kind::run, study, place, variant, by, {"train"});
  cell.engine = engine, cell.number = seed;
  cell.title = fmt::format("training of {} on {}, seed {}", study.variants[variant].name, by.name(), seed);
  const fs::path stem = file_of(place, "runs", study, variant, fmt::format("seed {}", seed));
  cell.result = stem;
  cell.log = stem.string() + ".log";
  cell.command.words.insert(cell.command.words.end(),
                            {fmt::format("seed={}", seed), "--output", stem.string(), "--resume", "auto"});
  return cell;
}

bool is_done(const StudyCell& cell) {
  if (cell.kind == StudyCell::Kind::run)
    return fs::exists(cell.result) && read_run(cell.result).state == RunState::finished;
  return fs::is_regular_file(cell.result);
}

}  // namespace convoy
