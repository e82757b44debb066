#include "comm/local_ranks.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "comm/process_identity.h"
#include "core/number.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> job_variables{
    "PMIX_NAMESPACE=", "PMI_JOBID=", "SLURM_JOB_ID=", "SLURM_STEP_ID="};
constexpr std::array<std::string_view, 4> rank_variables{
    "OMPI_COMM_WORLD_RANK=", "PMIX_RANK=", "PMI_RANK=", "SLURM_PROCID="};

fs::path folder_of(std::int64_t pid) {
  return fs::path("/proc") / std::to_string(pid);
}

/// The variables that a process began with; nothing where this user may not see them.
std::vector<std::string> variables_of(std::int64_t pid) {
  std::ifstream file(folder_of(pid) / "environ", std::ios::binary);
  std::vector<std::string> variables;
  for (std::string variable; std::getline(file, variable, '\0');) variables.push_back(std::move(variable));
  return variables;
}

/// The path that a process was started from: as long as it runs, also where another file is there by now, as
/// after an update.
std::string program_of(std::int64_t pid) {
  std::error_code unreadable;
  std::string program = fs::read_symlink(folder_of(pid) / "exe", unreadable).string();
  constexpr std::string_view gone = " (deleted)";
  if (program.ends_with(gone)) program.resize(program.size() - gone.size());
  return program;
}

std::optional<int> rank_in(const std::vector<std::string>& variables) {
  for (const std::string_view name : rank_variables)
    for (const std::string& variable : variables)
      if (variable.starts_with(name))
        return integer_in(std::string_view(variable).substr(name.size()), 0, 1'000'000);
  return std::nullopt;
}

}  // namespace

LocalRanks::LocalRanks() : own_(kinship_of(::getpid())), launcher_(kinship_of(own_.parent).program) {}

LocalRanks::Kinship LocalRanks::kinship_of(std::int64_t pid) {
  Kinship kinship;
  kinship.program = program_of(pid);
  kinship.parent = parent_of(pid);
  const std::vector<std::string> variables = variables_of(pid);
  kinship.rank = rank_in(variables);
  for (const std::string_view name : job_variables) {
    const auto found = std::find_if(variables.begin(), variables.end(),
                                    [&](const std::string& variable) { return variable.starts_with(name); });
    if (found != variables.end()) kinship.job.push_back(*found);
  }
  return kinship;
}

bool LocalRanks::is_kin(const Kinship& other) const {
  if (other.program.empty()) return false;
  if (other.parent == own_.parent && (other.program == own_.program || other.program == launcher_))
    return true;
  return !own_.job.empty() && other.job == own_.job && other.program == own_.program;
}

std::vector<LocalRank> LocalRanks::others() {
  std::vector<LocalRank> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::optional<std::int64_t> pid =
        integer_in<std::int64_t>(entry.path().filename().string(), 1, INT64_MAX);
    if (!pid || *pid == ::getpid() || strangers_.contains(*pid)) continue;
    const Kinship kinship = kinship_of(*pid);
    if (!is_kin(kinship)) {
      // Another user's, or of another job. What runs another program may be a wrapper that becomes a rank.
      if (kinship.program.empty() || kinship.program == own_.program) strangers_.insert(*pid);
      continue;
    }
    found.push_back({*pid, kinship.rank, is_stopped(*pid)});
  }
  return found;
}

}  // namespace convoy
