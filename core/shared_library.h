// Libraries that are opened while the program runs, so that it also starts on machines that lack them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace convoy {

/// An open library. Its code stays loaded until the process ends, since threads and exit handlers may use it.
class SharedLibrary {
 public:
  /// Whether libraries that are opened later see its symbols.
  enum class Symbols { local, global };

  /// `file` is a path, or a plain name that the system's loader looks for. Throws with the loader's reason.
  explicit SharedLibrary(const std::string& file, Symbols symbols = Symbols::local);
  ~SharedLibrary();
  SharedLibrary(SharedLibrary&& other) noexcept;
  SharedLibrary& operator=(SharedLibrary&&) = delete;

  bool has(const char* symbol) const { return address_of(symbol) != nullptr; }
  /// Points `function` to the library's function of this name; to null where there is none.
  template <class Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(address_of(name));
  }
  /// The same; throws where there is none.
  template <class Function>
  void get(Function*& function, const char* name) const {
    find(function, name);
    if (function == nullptr) fail_for(name);
  }
  /// Of the file that was opened.
  std::string path() const;

 private:
  void* address_of(const char* symbol) const;
  [[noreturn]] void fail_for(const char* symbol) const;

  void* handle_;
};

/// Where a library may be, and how to get it.
struct LibrarySearch {
  std::vector<std::string> names;              ///< of the file, the preferred one first
  std::vector<std::filesystem::path> folders;  ///< tried last
  std::string remedy;                          ///< the end of the message: what to install
};

/// Opens the first file that is found: in the folders that CONVOY_LIBRARY_PATH lists (separated by colons),
/// by the system's loader, in `search.folders`. Throws a message that names what was found but could not be
/// opened.
SharedLibrary open_library(const LibrarySearch& search,
                           SharedLibrary::Symbols symbols = SharedLibrary::Symbols::local);

}  // namespace convoy
