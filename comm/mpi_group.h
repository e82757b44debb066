// The MPI communicator behind a RankEnvironment.
#pragma once

#include "comm/mpi_interface.h"

namespace convoy {

struct MpiGroup {
  MpiInterface& mpi;
  MpiComm comm;
};

}  // namespace convoy
