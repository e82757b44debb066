// MPI's library and the plugin that calls it, opened if a launcher started this process.
#pragma once

#include <source_location>
#include <string>

#include "comm/launcher.h"
#include "comm/mpi_interface.h"
#include "core/shared_library.h"

namespace convoy {

class MpiLibrary {
 public:
  /// Opens the MPI that `launch` calls for, where it leaves a choice the first that is there. Throws a
  /// sentence that says what to install.
  explicit MpiLibrary(const Launch& launch);

  MpiInterface& calls() const { return *calls_; }
  /// "Open MPI v4.1.4".
  std::string version() const;
  /// "Open MPI v4.1.4, /usr/lib/x86_64-linux-gnu/libmpi.so.40".
  std::string describe() const;

 private:
  SharedLibrary library_, plugin_;
  MpiInterface* calls_ = nullptr;
};

/// What MpiLibrary opens here, or would with a launcher, as describe() has it; else what is missing.
std::string describe_mpi(const Launch& launch);

/// Throws where a call of MPI failed: a peer that goes away is then reported like any other fault.
void check_mpi(MpiInterface& mpi, int status, std::source_location where = std::source_location::current());

}  // namespace convoy
