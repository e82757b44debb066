// Lines for the person who watches: to stderr, with the time; with the rank where there are several.
#pragma once

#include <string>
#include <utility>

#include "core/printable.h"

namespace convoy {

/// Sends the log to stderr and, with several ranks, puts this one's number before every line. Called once, in
/// main; the logger itself is spdlog's default one.
void set_up_log(int rank, int size);

/// A whole message, whose line breaks are the program's own; all else of it is made printable.
void write_log_info(const std::string& line);
void write_log_warning(const std::string& line);
void write_log_error(const std::string& line);

/// The arguments are foreign text, which stays on its line.
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  write_log_info(format_printable(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  write_log_warning(format_printable(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log_error(format_printable(format, std::forward<Args>(args)...));
}

}  // namespace convoy
