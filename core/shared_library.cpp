#include "core/shared_library.h"

#include <dlfcn.h>
#include <fmt/ranges.h>
#include <link.h>

#include <cstdlib>
#include <optional>
#include <sstream>
#include <utility>

#include "core/error.h"

namespace convoy {
namespace {

/// The folders that a variable of the environment lists.
std::vector<std::filesystem::path> folders_of(const char* variable) {
  std::vector<std::filesystem::path> folders;
  const char* text = std::getenv(variable);
  std::istringstream list(text == nullptr ? "" : text);
  for (std::string folder; std::getline(list, folder, ':');) {
    if (!folder.empty()) folders.emplace_back(folder);
  }
  return folders;
}

/// Opens a file that is there; adds to `problems` why one cannot be opened.
std::optional<SharedLibrary> try_file(const std::string& file, SharedLibrary::Symbols symbols,
                                      std::vector<std::string>& problems) {
  try {
    return SharedLibrary(file, symbols);
  } catch (const Error& error) {
    // The loader begins with the name it looked for. Any other message is about a file that it found.
    const std::string problem = error.what();
    if (problem.find(file + ": cannot open shared object file: No such file") != 0)
      problems.push_back(problem);
    return std::nullopt;
  }
}

}  // namespace

SharedLibrary::SharedLibrary(const std::string& file, Symbols symbols)
    : handle_(dlopen(file.c_str(),
                     RTLD_NOW | RTLD_NODELETE | (symbols == Symbols::global ? RTLD_GLOBAL : RTLD_LOCAL))) {
  if (handle_ == nullptr) {
    const char* reason = dlerror();
    fail("{}", reason != nullptr ? reason : file.c_str());
  }
}

SharedLibrary::~SharedLibrary() {
  if (handle_ != nullptr) dlclose(handle_);
}

SharedLibrary::SharedLibrary(SharedLibrary&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)) {}

void* SharedLibrary::address_of(const char* symbol) const {
  return dlsym(handle_, symbol);
}

void SharedLibrary::fail_for(const char* symbol) const {
  fail("{} has no {}: it is of another version than this program needs", path(), symbol);
}

std::string SharedLibrary::path() const {
  link_map* map = nullptr;
  return dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : "";
}

SharedLibrary open_library(const LibrarySearch& search, SharedLibrary::Symbols symbols) {
  std::vector<std::string> files, problems;
  const auto add = [&](const std::vector<std::filesystem::path>& folders) {
    for (const auto& folder : folders)
      for (const std::string& name : search.names) files.push_back((folder / name).string());
  };
  add(folders_of("CONVOY_LIBRARY_PATH"));
  files.insert(files.end(), search.names.begin(), search.names.end());
  add(search.folders);
  for (const std::string& file : files) {
    if (auto library = try_file(file, symbols, problems)) return *std::move(library);
  }
  const std::string names = fmt::format("{}", fmt::join(search.names, " or "));
  if (problems.empty()) fail("{} is not found: {}", names, search.remedy);
  fail("{} cannot be opened ({}): {}", names, fmt::join(problems, "; "), search.remedy);
}

}  // namespace convoy
