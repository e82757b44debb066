#include "comm/launcher.h"

#include <array>
#include <cstdlib>

#include "src/core/error.h"

namespace convoy {
namespace {

int number_of(const char* text) {
  return text == nullptr ? 0 : std::atoi(text);
}

/// What the launchers themselves say, whatever the user wants.
Launch launch_of(const Variables& variables) {
  using enum MpiKind;
  if (const char* size = variables("OMPI_COMM_WORLD_SIZE")) return {true, number_of(size), {open_mpi}, {}};
  if (const char* size = variables("MV2_COMM_WORLD_SIZE")) return {true, number_of(size), {mpich}, {}};
  const char* pmi_size = variables("PMI_SIZE");
  // Hydra, the launcher of MPICH and Intel MPI, says how many of its ranks share this host.
  if (pmi_size != nullptr && variables("MPI_LOCALNRANKS") != nullptr)
    return {true, number_of(pmi_size), {mpich}, {}};
  const bool pmix = variables("PMIX_RANK") != nullptr;
  // A batch system: srun --mpi=pmi2, flux run.
  if (pmi_size != nullptr && !pmix) return {true, number_of(pmi_size), {mpich, open_mpi}, {}};
  const char* tasks = variables("SLURM_STEP_NUM_TASKS");
  const bool step = variables("SLURM_STEP_ID") != nullptr && tasks != nullptr;
  // jsrun of Spectrum MPI, which descends from Open MPI.
  if (const char* size = variables("JSM_NAMESPACE_SIZE"); size != nullptr && !step)
    return {true, number_of(size), {open_mpi}, {}};
  return {step || pmix, step ? number_of(tasks) : 0, {open_mpi, mpich}, {}};
}

/// How a launcher that is not MPI's says how many processes there are.
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
    if (number_of(size) < 2 || variables(launcher.mark) == nullptr) continue;
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

}  // namespace convoy
