// MPI's return codes as errors: a peer that goes away is then reported like any other fault.
#pragma once

#include <mpi.h>

#include <array>
#include <source_location>

#include "src/core/error.h"

namespace convoy {

inline void check_mpi(int status, std::source_location where = std::source_location::current()) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  fail("MPI: {} ({}:{})", text.data(), where.file_name(), where.line());
}

}  // namespace convoy
