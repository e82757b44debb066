// Convolutions timed by another library, in a program of its own: convoy does not link it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/plan/plan.h"

namespace convoy {

struct RivalTime {
  double seconds = 0;
  std::string algorithm;
};

/// bench/convoy_cudnn beside this program; empty where it was not built.
std::filesystem::path cudnn_program();

/// A convolution as one line of JSON, as bench/cudnn_rival.cpp reads it; empty for any other call.
std::string rival_request(const Call& call);

/// Runs `program FILE`, where each line of the file is a request, and reads one line of JSON for each:
/// {"seconds": s, "algorithm": text} or {"error": text}, which is warned of and leaves its place empty, as
/// does an empty request. Throws Error when the program fails.
std::vector<std::optional<RivalTime>> ask_rival(const std::filesystem::path& program,
                                                const std::vector<std::string>& requests);

}  // namespace convoy
