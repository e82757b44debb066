// Ranks that watch each other: real members and made-up ones, which misbehave, in one process.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "core/error.h"
#include "tests/comm/heartbeat_ranks.h"

namespace convoy::testing {
namespace {

using namespace std::chrono_literals;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// --- who is at fault ---

TEST(Watchdog, AConnectionThatEndsWithoutGoodbyeMeansDead) {
  Group group(2, 3, patient);
  MadeUpRank doomed(group.point, 2);
  group.root().heartbeat().meet(group.point, 5s);
  const auto start = Clock::now();
  doomed.die();
  for (int rank : {0, 1}) {
    const Verdict verdict = group[rank].verdict();
    EXPECT_EQ(verdict.failure.rank, 2);
    EXPECT_EQ(verdict.failure.host, "host-2");
    EXPECT_EQ(verdict.failure.device, "made up");
    EXPECT_EQ(verdict.failure.step, 7);
    EXPECT_EQ(verdict.failure.witness, 0);
    EXPECT_NE(verdict.failure.reason.find("without a goodbye"), std::string::npos);
    EXPECT_EQ(verdict.first_hand, rank == 0) << "the others are told";
  }
  EXPECT_LT(Clock::now() - start, 1s);
}

TEST(Watchdog, SilenceMeansStopped) {
  Group group(2, 3, {.silence = 1s, .step = 0s});
  MadeUpRank silent(group.point, 2);
  const auto start = Clock::now();
  for (int rank : {0, 1}) {
    const Verdict verdict = group[rank].verdict();
    EXPECT_EQ(verdict.failure.rank, 2);
    EXPECT_NE(verdict.failure.reason.find("no sign of life for 1 s"), std::string::npos);
  }
  EXPECT_GE(Clock::now() - start, 900ms) << "not before the limit";
  EXPECT_LT(Clock::now() - start, 2s);
}

TEST(Watchdog, BeatsAreSignsOfLife) {
  Group group(3, 3, {.silence = 500ms, .step = 0s});
  EXPECT_FALSE(group.root().has_verdict(1500ms));
  EXPECT_FALSE(group[1].has_verdict(0s));
  EXPECT_FALSE(group[2].has_verdict(0s));
}

TEST(Watchdog, EveryRankJudgesRankZero) {
  MadeUpRoot root;
  Member one(1, 3, {.silence = 400ms, .step = 0s}), two(2, 3, patient);
  for (Member* member : {&one, &two}) {
    const std::jthread answer([&] { root.admit(); });
    member->heartbeat().meet(root.point(), 5s);
  }
  const Verdict silence = one.verdict();
  EXPECT_EQ(silence.failure.rank, 0);
  EXPECT_EQ(silence.failure.witness, 1);
  EXPECT_TRUE(silence.first_hand);
  EXPECT_NE(silence.failure.reason.find("no sign of life"), std::string::npos);
  EXPECT_FALSE(two.has_verdict(0s));
  root.die();
  const Verdict death = two.verdict();
  EXPECT_EQ(death.failure.rank, 0);
  EXPECT_EQ(death.failure.host, "host-0");
  EXPECT_TRUE(death.first_hand);
}

TEST(Watchdog, WhatARankReportsReachesAll) {
  Group group(3, 3, patient);
  group[1].heartbeat().set_device("a device");
  group[1].activity.begin_step(41);
  group[1].heartbeat().report("CUDA: an illegal address\n\"quoted\"");
  for (int rank : {0, 1, 2}) {
    const Verdict verdict = group[rank].verdict();
    EXPECT_EQ(verdict.failure.rank, 1);
    EXPECT_EQ(verdict.failure.device, "a device");
    EXPECT_EQ(verdict.failure.step, 41);
    EXPECT_EQ(verdict.failure.reason, "CUDA: an illegal address\n\"quoted\"");
    EXPECT_EQ(verdict.failure.witness, 1);
  }
}

TEST(Watchdog, RankZeroReportsToo) {
  Group group(2, 2, patient);
  group.root().heartbeat().report(std::string(5000, 'x'));
  for (int rank : {0, 1}) {
    const Failure failure = group[rank].verdict().failure;
    EXPECT_EQ(failure.rank, 0);
    EXPECT_EQ(failure.reason.find_first_not_of('x'), std::string::npos);
    EXPECT_GT(failure.reason.size(), 500U) << "cut, not lost";
  }
}

TEST(Watchdog, AReportIsAnEchoWhenAnotherRankDied) {
  Group group(2, 3, patient);
  MadeUpRank doomed(group.point, 2);
  group.root().heartbeat().meet(group.point, 5s);
  group[1].heartbeat().report("NCCL: remote process exited");
  std::this_thread::sleep_for(50ms);
  doomed.die();
  EXPECT_EQ(group.root().verdict().failure.rank, 2);
  EXPECT_EQ(group[1].verdict().failure.rank, 2);
}

TEST(Watchdog, AReportCountsWithoutAnAnswer) {
  MadeUpRoot root;
  Member one(1, 2, patient);
  const std::jthread answer([&] { root.admit(); });
  one.heartbeat().meet(root.point(), 5s);
  one.heartbeat().report("out of memory");
  const Verdict verdict = one.verdict();
  EXPECT_EQ(verdict.failure.rank, 1);
  EXPECT_TRUE(verdict.first_hand);
}

// --- steps that do not end ---

TEST(Watchdog, TheRankThatOthersWaitForIsTheOneThatHangs) {
  Group group(3, 3, {.silence = 20s, .step = 500ms});
  std::vector<std::unique_ptr<Activity::Waiting>> waiting;
  for (int rank : {0, 1, 2}) group[rank].activity.begin_step(5);
  for (int rank : {0, 2}) waiting.push_back(std::make_unique<Activity::Waiting>(group[rank].activity));
  for (int rank : {0, 1, 2}) {
    const Failure failure = group[rank].verdict().failure;
    EXPECT_EQ(failure.rank, 1);
    EXPECT_EQ(failure.step, 5);
    EXPECT_NE(failure.reason.find("has not moved on for 0.5 s"), std::string::npos) << failure.reason;
  }
}

TEST(Watchdog, WhereAllWaitTheCollectiveHangs) {
  Group group(2, 2, {.silence = 20s, .step = 500ms});
  const Activity::Waiting zero(group[0].activity), one(group[1].activity);
  const Failure failure = group[1].verdict().failure;
  EXPECT_NE(failure.reason.find("waits for a collective"), std::string::npos) << failure.reason;
}

TEST(Watchdog, StepsThatEndInTimeAreFine) {
  Group group(2, 2, {.silence = 2s, .step = 800ms});
  for (int step = 0; step < 15; ++step) {
    group[0].activity.begin_step(step);
    group[1].activity.advance();
    ASSERT_FALSE(group[0].has_verdict(100ms));
  }
}

// --- coming and going ---

TEST(Watchdog, AGoodbyeIsNoFailure) {
  Group group(4, 4, {.silence = 1s, .step = 800ms});
  const auto move = [&](int rank) { group[rank].activity.advance(); };
  group[2].leave();
  for (int i = 0; i < 10; ++i) {
    for (int rank : {0, 1, 3}) move(rank);
    ASSERT_FALSE(group[0].has_verdict(100ms));
  }
  std::thread last([&] { group[0].leave(); });
  EXPECT_FALSE(group[1].has_verdict(400ms)) << "rank 0 waits for the others";
  EXPECT_FALSE(group[3].has_verdict(0s));
  group[1].leave();
  group[3].leave();
  last.join();
}

TEST(Watchdog, AGoodbyeThatIsLostIsSaidAgain) {
  Group group(2, 3, patient);
  auto leaving = std::make_unique<MadeUpRank>(group.point, 2, own_process());
  group.root().heartbeat().meet(group.point, 5s);
  leaving->break_connection();
  leaving->say(Message::Kind::goodbye);  // which nobody hears
  MadeUpRank(group.point, 2, own_process()).say(Message::Kind::goodbye);
  group[1].leave();
  const auto start = Clock::now();
  group[0].leave();
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_FALSE(group[0].has_verdict(0s));
}

TEST(Watchdog, ARankThatIsStoppedOnItsWayOutIsMissed) {
  Group group(1, 2, {.silence = 500ms, .step = 0s});
  MadeUpRank silent(group.point, 1, own_process());
  group.root().heartbeat().meet(group.point, 5s);
  group.root().leave();
  const Failure failure = group.root().verdict().failure;
  EXPECT_EQ(failure.rank, 1);
  EXPECT_EQ(failure.process.pid, own_process().pid);
  EXPECT_NE(failure.reason.find("no sign of life"), std::string::npos) << failure.reason;
}

TEST(Watchdog, ARankLeavesWhenRankZeroIsGone) {
  auto root = std::make_unique<MadeUpRoot>();
  Member one(1, 2, patient);
  {
    const std::jthread answer([&] { root->admit(); });
    one.heartbeat().meet(root->point(), 5s);
  }
  const std::jthread later([&] {
    std::this_thread::sleep_for(200ms);
    root.reset();
  });
  const auto start = Clock::now();
  one.leave();
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_FALSE(one.has_verdict(0s)) << "it had said goodbye";
}

TEST(Watchdog, LimitsMayBecomeShorter) {
  Group group(2, 3, patient);
  MadeUpRank silent(group.point, 2, own_process());
  group.root().heartbeat().meet(group.point, 5s);
  for (int rank : {0, 1}) group[rank].heartbeat().set_limits({.silence = 500ms, .step = 0s});
  EXPECT_EQ(group.root().verdict().failure.rank, 2);
}

TEST(Watchdog, ARequestToStopEndsAllWithItsCode) {
  Group group(2, 2, patient);
  group[1].heartbeat().report("asked to stop", ExitCode::stopped);
  for (int rank : {0, 1}) {
    const Failure failure = group[rank].verdict().failure;
    EXPECT_EQ(failure.code, ExitCode::stopped);
    EXPECT_EQ(failure.process.pid, own_process().pid);
  }
}

TEST(Watchdog, StrangersAreRefused) {
  Group group(1, 2, patient);
  MeetingPoint wrong = group.point;
  wrong.key[0] ^= 1;
  EXPECT_FALSE(MadeUpRank(wrong, 1).is_answered());
  EXPECT_FALSE(MadeUpRank(group.point, 2).is_answered()) << "there is no rank 2";
  EXPECT_FALSE(MadeUpRank(group.point, 0).is_answered());
  EXPECT_FALSE(MadeUpRank(group.point, -1).is_answered());
  MadeUpRank real(group.point, 1, own_process());
  EXPECT_TRUE(real.is_answered());
  EXPECT_NO_THROW(group.root().heartbeat().meet(group.point, 5s));
  EXPECT_FALSE(group.root().has_verdict(0s));
}

TEST(Watchdog, ForgedAndRepeatedBytesAreRefused) {
  Group group(2, 3, patient);
  MadeUpRank victim(group.point, 2, own_process());
  group.root().heartbeat().meet(group.point, 5s);
  Message forged = victim.message(Message::Kind::failure);
  forged.rank = 1;  // a rank speaks for itself alone
  forged.reason = std::string("forged");
  for (int i = 0; i < 100; ++i) victim.say(forged);
  EXPECT_FALSE(group.root().has_verdict(500ms));
  victim.send_bytes(std::string(3 * (sizeof forged + sizeof(Tag)), 'x'));
  EXPECT_FALSE(group.root().has_verdict(500ms)) << "the connection ends, the run does not";
  EXPECT_FALSE(group[1].has_verdict(0s));
  const MadeUpRank again(group.point, 2, own_process());
}

TEST(Watchdog, ARankThatLostItsConnectionComesBack) {
  Group group(2, 3, patient);
  MadeUpRank cut(group.point, 2, own_process());
  group.root().heartbeat().meet(group.point, 5s);
  cut.break_connection();
  EXPECT_FALSE(group.root().has_verdict(500ms));
  MadeUpRank again(group.point, 2, own_process());
  EXPECT_TRUE(again.is_answered());
  EXPECT_FALSE(group.root().has_verdict(500ms));
}

TEST(Watchdog, AnImpostorOfRankZeroIsRefused) {
  MadeUpRoot root;
  MeetingPoint point = root.point();
  point.key[0] ^= 1;  // so that the answer's is wrong
  Member one(1, 2, patient);
  const std::jthread answer([&] { root.admit(); });
  EXPECT_THROW(one.heartbeat().meet(point, 300ms), Error);
}

TEST(Watchdog, WhoDoesNotComeIsMissed) {
  Group group(1, 3, patient);
  try {
    group.root().heartbeat().meet(group.point, 200ms);
    ADD_FAILURE() << "nobody came";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("2 of 3 ranks"), std::string::npos) << error.what();
  }
}

TEST(Watchdog, CostsNextToNothing) {
  Group group(4, 4, {.silence = 1s, .step = 0s});
  group[2].leave();  // whose connection has ended, but not the watch
  const double before = cpu_seconds();
  EXPECT_FALSE(group.root().has_verdict(1s));
  EXPECT_LT(cpu_seconds() - before, 0.1) << "it does not poll in a loop";
}

}  // namespace
}  // namespace convoy::testing
