// Doing something on every rank that may fail on some: all succeed, or all throw the same error.
#pragma once

#include <string>
#include <utility>

#include "comm/rank_environment.h"
#include "src/core/error.h"

namespace convoy {

/// An error every rank knows of: rank 0 alone reports it and all end by themselves, with the same exit code.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs `work` on every rank, then compares notes. Throws AgreedError on all ranks with the lowest failing
/// rank's message. `work` must not contain collectives that a failing rank would leave out.
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
    problem = error.what();
    code = ExitCode::failure;
  }
  const std::string verdict = ranks.first_problem(problem);
  if (verdict.empty()) return;
  throw AgreedError(verdict, static_cast<ExitCode>(ranks.max(static_cast<std::int64_t>(code))));
}

}  // namespace convoy
