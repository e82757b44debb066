// Messages for people, on stderr. Results go to stdout.
#pragma once

#include <fmt/format.h>

#include <string>

namespace convoy {

enum class LogLevel { info, warn, error };

/// One line, with the level and, among several ranks, the rank.
void log_line(LogLevel level, const std::string& message);
/// Puts "rank R" before every line of this process. Called once, by main.
void set_log_rank(int rank, int size);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace convoy
