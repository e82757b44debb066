#include "core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace convoy {

void set_up_log(int rank, int size) {
  auto logger =
      std::make_shared<spdlog::logger>("convoy", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern(size > 1 ? fmt::format("%H:%M:%S rank {} %^%l%$ %v", rank) : "%H:%M:%S %^%l%$ %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void write_log_info(const std::string& line) {
  spdlog::info("{}", printable_lines(line));
}
void write_log_warning(const std::string& line) {
  spdlog::warn("{}", printable_lines(line));
}
void write_log_error(const std::string& line) {
  spdlog::error("{}", printable_lines(line));
}

}  // namespace convoy
