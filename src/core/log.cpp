#include "src/core/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace convoy {

void set_log_rank(int rank, int size) {
  auto logger = spdlog::stderr_logger_st("convoy");
  logger->set_pattern(size > 1 ? fmt::format("%l: rank {}: %v", rank) : std::string("%l: %v"));
  spdlog::set_default_logger(std::move(logger));
}

void log_line(LogLevel level, const std::string& message) {
  switch (level) {
    case LogLevel::info: return spdlog::info("{}", message);
    case LogLevel::warn: return spdlog::warn("{}", message);
    case LogLevel::error: return spdlog::error("{}", message);
  }
}

}  // namespace convoy
