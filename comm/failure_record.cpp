#include "comm/failure_record.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "comm/activity.h"
#include "core/file_descriptor.h"

namespace convoy {

std::string describe(const Failure& failure) {
  std::string when = fmt::format("in step {}", failure.step);
  if (!failure.phase.empty() && failure.phase != Activity::training) {
    when = "while " + failure.phase;
    if (failure.step > 0) when += fmt::format(" after step {}", failure.step);
  }
  std::string what = failure.process.pid > 0 ? fmt::format("pid {}", failure.process.pid) : "";
  if (!failure.device.empty()) what += (what.empty() ? "" : ", ") + failure.device;
  return fmt::format("rank {} on host {}{} {} {}: {}", failure.rank, failure.host,
                     what.empty() ? "" : fmt::format(" ({})", what),
                     failure.code == ExitCode::stopped ? "stopped" : "failed", when, failure.reason);
}

RecordOutcome write_failure_record(const std::filesystem::path& path, const Failure& failure) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(failure.time);
  const nlohmann::ordered_json json = {{"rank", failure.rank},
                                       {"host", failure.host},
                                       {"pid", failure.process.pid},
                                       {"device", failure.device},
                                       {"phase", failure.phase.empty() ? Activity::training : failure.phase},
                                       {"step", failure.step},
                                       {"reason", failure.reason},
                                       {"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds))},
                                       {"witness", failure.witness}};
  // Reasons may quote anything, also what is no UTF-8.
  const std::string text = json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) return errno == EEXIST ? RecordOutcome::there : RecordOutcome::impossible;
  // In one call: whoever reads it meanwhile finds nothing or all of it.
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  return written == static_cast<ssize_t>(text.size()) ? RecordOutcome::written : RecordOutcome::impossible;
}

}  // namespace convoy
