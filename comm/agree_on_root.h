// Work that one rank does for all.
#pragma once

#include <exception>
#include <utility>

#include "comm/agree.h"

namespace convoy {

/// Runs `work` on rank 0 alone while the others sleep, without a time limit. Throws as agree() does.
template <class Work>
void agree_on_root(const RankEnvironment& ranks, Work&& work) {
  std::exception_ptr problem;
  if (ranks.is_root()) {
    try {
      std::forward<Work>(work)();
    } catch (const std::exception&) {
      problem = std::current_exception();
    }
  }
  ranks.rest();
  agree(ranks, [&] {
    if (problem) std::rethrow_exception(problem);
  });
}

}  // namespace convoy
