// What fails on one rank fails on all, in the same words.
#include "comm/agree.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/test_environment.h"

namespace convoy::testing {
namespace {

struct Verdict {
  std::string text;
  ExitCode code;
};

/// How agree() ends here; code done when it did not throw.
template <class Work>
Verdict verdict_of(Work&& work) {
  try {
    agree(ranks(), work);
  } catch (const AgreedError& error) {
    return {error.what(), error.code()};
  }
  return {"", ExitCode::done};
}

/// The root's text, for every rank to compare with.
std::string text_of_root(const std::string& mine) {
  std::uint64_t length = mine.size();
  ranks().broadcast(&length, sizeof length);
  std::string text = mine;
  text.resize(length);
  ranks().broadcast(text.data(), length);
  return text;
}

TEST(Agree, GoesOnWhereNothingFails) {
  int done = 0;
  EXPECT_EQ(verdict_of([&] { ++done; }).code, ExitCode::done);
  EXPECT_EQ(done, 1);
}

TEST(Agree, ThrowsWhatFailsOnEveryRank) {
  const Verdict usage = verdict_of([] { fail_usage("a key of {}", 3); });
  EXPECT_EQ(usage.text, "a key of 3") << "the root's, without its number";
  EXPECT_EQ(usage.code, ExitCode::usage);
  const Verdict foreign = verdict_of([] { throw std::runtime_error("from a library"); });
  EXPECT_EQ(foreign.text, "from a library");
  EXPECT_EQ(foreign.code, ExitCode::failure);
}

class DistributedAgreement : public ::testing::Test {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << "needs several ranks: mpirun -np 2 convoy_tests";
  }
};

TEST_F(DistributedAgreement, EveryRankThrowsWhatOneMeets) {
  const int last = ranks().size() - 1;
  const Verdict verdict = verdict_of([&] {
    if (ranks().rank() == last) fail_usage("met by {}", last);
  });
  EXPECT_EQ(verdict.text, fmt::format("rank {}: met by {}", last, last));
  EXPECT_EQ(verdict.code, ExitCode::usage) << "also where nothing failed";
}

TEST_F(DistributedAgreement, OfSeveralProblemsTheLowestRanksIsSaid) {
  const Verdict verdict = verdict_of([&] {
    if (ranks().rank() == 0) return;
    const std::string text(static_cast<std::size_t>(ranks().rank()), 'x');  // of different lengths
    if (ranks().rank() == 1) fail("{}", text);
    fail_usage("{}", text);
  });
  EXPECT_EQ(verdict.text, "rank 1: x");
  EXPECT_EQ(verdict.text, text_of_root(verdict.text));
  EXPECT_EQ(verdict.code, ranks().size() > 2 ? ExitCode::usage : ExitCode::failure);
}

}  // namespace
}  // namespace convoy::testing
