// Moves an earlier run out of the folder of a new one.
#pragma once

#include <filesystem>
#include <string>

namespace convoy {

/// Moves what an earlier run left in the folder to a new one, FOLDER.1 (or .2, …), and returns that name;
/// empty where there was no run. The folder itself stays, since it may be a mount point or where people work,
/// and so does all that is not a run's. Where files cannot be moved to beside the folder, as out of a mount
/// point, the new one is FOLDER/earlier-run.1. Throws Error when neither can be done.
std::string set_aside_earlier_run(const std::filesystem::path& folder);

}  // namespace convoy
