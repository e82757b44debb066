// Lines for the person who watches: to stderr, with the time; with the rank where there are several.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace convoy {

/// Sends the log to stderr and, with several ranks, puts this one's number before every line. Called once, in
/// main; the logger itself is spdlog's default one.
void set_up_log(int rank, int size);

void write_log_info(const std::string& line);
void write_log_warning(const std::string& line);
void write_log_error(const std::string& line);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  write_log_info(fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  write_log_warning(fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log_error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace convoy
