// Work on every rank that may fail on some: either all ranks succeed, or all throw the same error.
#pragma once

#include <string>
#include <utility>

#include "comm/rank_environment.h"
#include "core/error.h"
#include "core/reason.h"

namespace convoy {

/// An error that every rank throws. Rank 0 alone reports it, and all end with the same exit code.
class AgreedError : public Error {
 public:
  /// `rank`, `host`: where it arose, if on one of them.
  explicit AgreedError(const std::string& message, ExitCode code = ExitCode::failure, int rank = 0,
                       std::string host = {})
      : Error(message, code), rank_(rank), host_(std::move(host)) {}
  int rank() const { return rank_; }
  const std::string& host() const { return host_; }

 private:
  int rank_;
  std::string host_;
};

/// Runs `work` on every rank, then compares the results. Throws AgreedError on all ranks with the lowest
/// failing rank's message. `work` must not contain collectives that a failing rank would leave out.
template <class Work>
void agree(const RankEnvironment& ranks, Work&& work) {
  std::string problem;
  ExitCode code = ExitCode::done;
  try {
    std::forward<Work>(work)();
  } catch (const Error& error) {
    problem = error.what();
    code = error.code();
  } catch (const std::exception& error) {
    problem = reason_of(error);
    code = ExitCode::failure;
  }
  const int first = ranks.first_with(code != ExitCode::done);
  if (first == ranks.size()) return;
  const std::string verdict = ranks.text_of(first, problem);
  code = static_cast<ExitCode>(ranks.max(static_cast<std::int64_t>(code)));
  throw AgreedError(first == 0 ? verdict : fmt::format("rank {}: {}", first, verdict), code, first,
                    ranks.text_of(first, ranks.host()));
}

}  // namespace convoy
