// The MPI communicator behind a RankEnvironment, for sources that speak MPI themselves.
#pragma once

#include <mpi.h>

namespace convoy {

struct MpiGroup {
  MPI_Comm comm = MPI_COMM_WORLD;
};

}  // namespace convoy
