// The one exception type and the checks that throw it.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

#include "core/printable.h"

namespace convoy {

/// Process exit codes (also listed in `convoy --help`).
enum class ExitCode : int { done = 0, failure = 1, usage = 2, stopped = 75 };

/// What went wrong, where, and what to do about it, as printable text (printable_lines). `main` is the only
/// place that catches it.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = ExitCode::failure)
      : std::runtime_error(printable_lines(message)), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Throws an Error that leads to exit code 1: the run failed. What the arguments say is foreign text.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(format_printable(format, std::forward<Args>(args)...));
}

/// Throws an Error that leads to exit code 2: the command line or the configuration is wrong.
template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(format_printable(format, std::forward<Args>(args)...), ExitCode::usage);
}

/// Throws when an invariant of the program itself does not hold; the message carries the source location.
inline void check(bool condition, const char* what,
                  std::source_location where = std::source_location::current()) {
  if (!condition) fail("internal error: {} ({}:{})", what, where.file_name(), where.line());
}

}  // namespace convoy
