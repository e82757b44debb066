#include "comm/launcher.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <optional>

#include "comm/process_identity.h"
#include "core/error.h"
#include "core/number.h"

namespace convoy {
namespace {

/// How many ranks the variable says that there are; 0 where it is not set.
int number_of(const Variables& variables, const char* name) {
  const char* text = variables(name);
  if (text == nullptr) return 0;
  const std::optional<int> ranks = integer_in(text, 1, 1'000'000);
  if (!ranks)
    fail_usage("{} is \"{}\", no number of ranks: unset it, or start with mpirun or srun", name, text);
  return *ranks;
}

/// What the launchers themselves set, whatever the user has chosen.
Launch launch_of(const Variables& variables) {
  using enum MpiKind;
  if (const int size = number_of(variables, "OMPI_COMM_WORLD_SIZE")) return {true, size, {open_mpi}, {}};
  if (const int size = number_of(variables, "MV2_COMM_WORLD_SIZE")) return {true, size, {mpich}, {}};
  const int pmi_size = number_of(variables, "PMI_SIZE");
  // Hydra, the launcher of MPICH and Intel MPI, says how many of its ranks share this host.
  if (pmi_size > 0 && variables("MPI_LOCALNRANKS") != nullptr) return {true, pmi_size, {mpich}, {}};
  const bool pmix = variables("PMIX_RANK") != nullptr;
  // A batch system: srun --mpi=pmi2, flux run.
  if (pmi_size > 0 && !pmix) return {true, pmi_size, {mpich, open_mpi}, {}};
  const int tasks = number_of(variables, "SLURM_STEP_NUM_TASKS");
  const bool step = variables("SLURM_STEP_ID") != nullptr && tasks > 0;
  // jsrun of Spectrum MPI, which descends from Open MPI.
  if (const int size = number_of(variables, "JSM_NAMESPACE_SIZE"); size > 0 && !step)
    return {true, size, {open_mpi}, {}};
  return {step || pmix, step ? tasks : 0, {open_mpi, mpich}, {}};
}

/// Variables in which launchers other than MPI's give the number of processes.
struct ForeignLauncher {
  const char* size;
  const char* mark;  ///< a variable that it sets, too; `size` alone may be a leftover of something else
  const char* name;
};
constexpr std::array foreign_launchers{
    ForeignLauncher{"WORLD_SIZE", "TORCHELASTIC_RUN_ID", "torchrun"},
    ForeignLauncher{"WORLD_SIZE", "CROSS_SIZE", "deepspeed"},
    ForeignLauncher{"WORLD_SIZE", "ACCELERATE_MIXED_PRECISION", "accelerate launch"},
    ForeignLauncher{"WORLD_SIZE", "RANK", "torchrun or a launcher like it"},
    ForeignLauncher{"WORLD_SIZE", "LOCAL_RANK", "torchrun or a launcher like it"},
    ForeignLauncher{"HOROVOD_SIZE", "HOROVOD_RANK", "horovodrun"},
    ForeignLauncher{"FLUX_JOB_SIZE", "FLUX_TASK_RANK", "flux run without PMI"},
};

void refuse_foreign_launcher(const Variables& variables) {
  for (const ForeignLauncher& launcher : foreign_launchers) {
    const char* size = variables(launcher.size);
    if (size == nullptr || variables(launcher.mark) == nullptr) continue;
    if (integer_in(size, 0, 1).has_value()) continue;  // one process is what it takes itself for
    fail_usage(
        "{} started this process ({}={}), but Convoy's ranks are MPI's, so each process would train alone: "
        "start them with `mpirun -np {} convoy ...`; for a single process unset {}",
        launcher.name, launcher.size, size, size, launcher.size);
  }
}

}  // namespace

Launch read_launch(const Variables& variables) {
  Launch launch = launch_of(variables);
  if (!launch.launched) refuse_foreign_launcher(variables);
  const char* wanted = variables("CONVOY_MPI");
  const std::string choice = wanted == nullptr ? "" : wanted;
  if (choice == "openmpi") {
    launch.kinds = {MpiKind::open_mpi};
  } else if (choice == "mpich") {
    launch.kinds = {MpiKind::mpich};
  } else if (choice.find('/') != std::string::npos) {
    launch.library = choice;
  } else if (!choice.empty()) {
    fail_usage("CONVOY_MPI is {}: it may be openmpi, mpich, or the path of an MPI library (libmpi.so...)",
               choice);
  }
  return launch;
}

Launch read_launch() {
  return read_launch([](const char* name) -> const char* { return std::getenv(name); });
}

/// Each rank, with what wraps it, is a process group of its own, whose leader is the launcher's child.
std::int64_t open_mpi_launcher() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return 0;
  const std::int64_t parent = parent_of(::getpgrp());
  return parent > 1 ? parent : 0;
}

}  // namespace convoy
