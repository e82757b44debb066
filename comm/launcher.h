// The launcher of this process, from its environment: the number of ranks, and the MPI that they use.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace convoy {

/// MPIs that share an ABI: Open MPI 4 and 5; MPICH, Intel MPI, MVAPICH and other descendants of MPICH.
enum class MpiKind { open_mpi, mpich };

struct Launch {
  /// Whether a launcher (mpirun, srun) started this process as a rank.
  bool launched = false;
  /// So many ranks did the launcher start; 0: it does not say.
  int ranks = 0;
  /// MPIs that the launcher supports, the likelier one first. Without a launcher: all.
  std::vector<MpiKind> kinds;
  /// The file of MPI's library, where CONVOY_MPI names one; `kinds` then has no say.
  std::string library;

  /// Whether there may be other ranks, which takes MPI to find out.
  bool needs_mpi() const { return launched && ranks != 1; }
};

/// Reads a variable of the environment; null where it is not set.
using Variables = std::function<const char*(const char* name)>;

/// Throws (exit code 2) where CONVOY_MPI is neither `openmpi`, `mpich` nor a path, and where something starts
/// several processes that no MPI connects (torchrun): each would train alone, all into one folder.
Launch read_launch(const Variables& variables);
/// Of this process.
Launch read_launch();

/// The process that started this rank and what wraps it: mpirun, or its daemon on this host. 0 where that is
/// not Open MPI's.
std::int64_t open_mpi_launcher();

}  // namespace convoy
