// Which rank failed first, and why: what failure.json says.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "comm/process_identity.h"
#include "core/error.h"

namespace convoy {

struct Failure {
  int rank = 0;
  std::string host, device;   ///< the device is empty until the rank has one
  ProcessIdentity process{};  ///< pid 0: unknown
  std::string phase;          ///< what it was doing, as Activity has it; empty: training
  std::int64_t step = 0;      ///< the training step it was in or had come to, from 0
  std::string reason;
  int witness = 0;                    ///< the rank that noticed
  ExitCode code = ExitCode::failure;  ///< what all ranks end with; `stopped`: on request, no fault
  std::chrono::system_clock::time_point time = std::chrono::system_clock::now();
};

/// One line for people.
std::string describe(const Failure& failure);

/// `there`: another witness was faster. `impossible`: this host has no such folder, or it cannot be written.
enum class RecordOutcome { written, there, impossible };
/// Creates the file, which must not exist; of several writers one wins. Never throws for the file's sake.
RecordOutcome write_failure_record(const std::filesystem::path& path, const Failure& failure);

}  // namespace convoy
