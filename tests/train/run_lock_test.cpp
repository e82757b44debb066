// Of several runs that want one folder, one gets it: the first, or one of those that find its owner dead.
#include "src/run/run_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <latch>

#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "src/run/lock_record.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// So that a test need not wait long; an owner that cannot be asked for has ten seconds.
constexpr LockTimes quick{milliseconds(100), milliseconds(200), 100};

class RunLocks : public ::testing::Test {
 protected:
  RunLock lock(LockTimes times = quick) const { return RunLock(folder(), "here", {}, times); }
  std::string refusal(LockTimes times = quick) const {
    try {
      const RunLock held = lock(times);
    } catch (const Error& error) {
      return error.what();
    }
    return "not refused";
  }
  fs::path folder() const { return folder_.path() / "runs" / "net"; }
  fs::path file() const { return folder() / "run.lock"; }
  fs::path right_to(const LockRecord& record) const {
    return fmt::format("{}.{}", file().string(), record.token);
  }
  std::string token_in(const fs::path& path) const {
    const auto record = lock_record_in(read_file(path));
    return record ? record->token : "none";
  }
  /// Leaves a lock as if it were an earlier run's.
  LockRecord leave(LockRecord record) const { return leave(std::move(record), file()); }
  LockRecord leave(LockRecord record, const fs::path& path) const {
    fs::create_directories(folder());
    write_file_atomically(path, to_text(record));
    return record;
  }
  /// Of a process that is no more: this one at another time.
  static LockRecord dead() {
    LockRecord record = own_lock_record("here", milliseconds(100));
    ++record.process_start;
    return record;
  }
  static LockRecord of_another_host(milliseconds refresh) {
    LockRecord record = own_lock_record("there", refresh);
    record.place.boot = "of another host";
    return record;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder())) names.push_back(entry.path().filename());
    return names;
  }

  TemporaryFolder folder_;
};

TEST_F(RunLocks, ASecondRunIsRefusedAndTheFirstIsNamed) {
  const RunLock first = lock();
  const std::string words = refusal();
  for (const std::string& part : {folder().string(), fmt::format("process {} on host here", getpid()),
                                  std::string("since 20"), std::string("--output")})
    EXPECT_NE(words.find(part), std::string::npos) << part << " in: " << words;
  EXPECT_TRUE(first.is_ours());
}

TEST_F(RunLocks, ASecondRunWaitsForOneThatIsJustEnding) {
  std::optional<RunLock> first;
  first.emplace(folder(), "here", std::function<bool()>{}, quick);
  std::jthread ending([&first] {
    std::this_thread::sleep_for(milliseconds(50));
    first.reset();
  });
  LockTimes patient = quick;
  patient.patience = std::chrono::seconds(60);
  EXPECT_TRUE(lock(patient).is_ours());
}

TEST_F(RunLocks, NothingIsLeft) {
  { const RunLock held = lock(); }
  EXPECT_TRUE(fs::is_empty(folder_.path())) << "folders that it made";
  fs::create_directories(folder());
  {
    const RunLock held = lock();
    EXPECT_EQ(files(), std::vector<std::string>{"run.lock"});
  }
  EXPECT_TRUE(fs::is_empty(folder())) << "a folder that was there stays";
}

TEST_F(RunLocks, ADeadOwnersLockIsTakenOver) {
  const LockRecord owner = leave(dead());
  LockTimes slow = quick;
  slow.refresh = slow.patience = std::chrono::seconds(1000);
  const RunLock held = lock(slow);  // without a wait
  EXPECT_NE(token_in(file()), owner.token);
  EXPECT_EQ(files(), std::vector<std::string>{"run.lock"});
}

/// A process that has taken the lock and goes on with `next`.
template <class Next>
pid_t owner_that(const fs::path& folder, Next next) {
  const pid_t pid = fork();
  if (pid == 0) {
    fs::create_directories(folder);
    make_lock_file(folder / "run.lock", to_text(own_lock_record("here", milliseconds(100))));
    next();
    _exit(0);
  }
  return pid;
}

TEST_F(RunLocks, AZombieIsDead) {
  const pid_t pid = owner_that(folder(), [] {});
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(lock().is_ours());
  waitpid(pid, nullptr, 0);
}

TEST_F(RunLocks, AStoppedProcessLives) {
  const pid_t pid = owner_that(folder(), [] { raise(SIGSTOP); });
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_NE(refusal().find(fmt::format("process {} on host here", pid)), std::string::npos);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_TRUE(lock().is_ours()) << "and at once free after its end";
}

TEST_F(RunLocks, AnotherHostsOwnerLivesWhileItRenewsTheFile) {
  const LockRecord owner = leave(of_another_host(std::chrono::seconds(10)));
  std::jthread renewing([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      renew_lock_file(file(), to_text(owner));
      std::this_thread::sleep_for(milliseconds(50));
    }
  });
  EXPECT_NE(refusal().find("on host there"), std::string::npos);
  EXPECT_EQ(token_in(file()), owner.token);
}

TEST_F(RunLocks, AnotherHostsOwnerIsDeadOnceItRenewsNoMore) {
  leave(of_another_host(milliseconds(20)));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(lock().is_ours());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 100 * milliseconds(20));
}

TEST_F(RunLocks, ADamagedLockIsTakenOverWhereNobodyRenewsIt) {
  for (const std::string& text : {std::string(), std::string("\0\0\0", 3), std::string(100'000, 'x')}) {
    fs::create_directories(folder());
    write_file_atomically(file(), text);
    LockTimes times = quick;
    times.silent_refreshes = 3;
    EXPECT_TRUE(lock(times).is_ours());
  }
}

TEST_F(RunLocks, ALivingOwnerRenewsADamagedLock) {
  const RunLock owner = lock();
  const FileDescriptor damage(open(file().c_str(), O_WRONLY | O_TRUNC));
  EXPECT_NE(refusal().find("under way"), std::string::npos);
}

TEST_F(RunLocks, OfManyContendersForADeadOwnersLockOneWins) {
  constexpr int contenders = 12, rounds = 30;
  for (int round = 0; round < rounds; ++round) {
    const LockRecord owner = leave(dead());
    if (round % 3 > 0) {  // contenders that were killed while they took over, too
      const LockRecord first = leave(dead(), right_to(owner));
      if (round % 3 > 1) leave(dead(), right_to(first));
    }
    std::atomic<int> winners = 0, refused = 0;
    std::latch done(contenders);
    std::vector<std::jthread> threads;
    for (int i = 0; i < contenders; ++i) {
      threads.emplace_back([&] {
        try {
          const RunLock held(folder(), "here", {}, {milliseconds(100), milliseconds(20), 100});
          ++winners;
          done.arrive_and_wait();
          EXPECT_TRUE(held.is_ours());
        } catch (const Error&) {
          ++refused;
          done.count_down();
        }
      });
    }
    threads.clear();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(refused, contenders - 1);
    ASSERT_EQ(files(), std::vector<std::string>{}) << "of round " << round;
  }
}

TEST_F(RunLocks, AnOwnerThatWasTakenForDeadNoticesAndLeavesTheOthersLock) {
  LockRecord other = of_another_host(milliseconds(100));
  {
    const RunLock held = lock();
    leave(other);
    EXPECT_FALSE(held.is_ours());
    try {
      held.require_ours();
      ADD_FAILURE() << "nothing is thrown";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("on host there"), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(token_in(file()), other.token);
}

TEST_F(RunLocks, WhatIsNoLockIsRefused) {
  fs::create_directories(folder() / "run.lock");
  EXPECT_NE(refusal().find("is no regular file"), std::string::npos);
  fs::remove(file());
  fs::create_symlink(folder() / "elsewhere", file());
  EXPECT_NE(refusal().find("is a symbolic link"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder() / "elsewhere"));
  fs::remove(file());
  ASSERT_EQ(mkfifo(file().c_str(), 0600), 0);
  EXPECT_NE(refusal().find("is no regular file"), std::string::npos);
}

TEST_F(RunLocks, AWaitEndsOnRequest) {
  const RunLock first = lock();
  LockTimes patient = quick;
  patient.patience = std::chrono::hours(1);
  try {
    const RunLock second(
        folder(), "here", [] { return true; }, patient);
    ADD_FAILURE() << "nothing is thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::stopped);
  }
}

TEST(LockRecords, AreWhatTheyWereOrNothing) {
  const LockRecord record = own_lock_record("a\nhost", milliseconds(2000));
  const std::string text = to_text(record);
  const auto again = lock_record_in(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(to_text(*again), text) << "a host's name does not make lines";
  EXPECT_EQ(state_of(*again), ProcessState::alive);
  for (std::size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(lock_record_in(text.substr(0, length)));
  const auto with = [&](const std::string& line, const std::string& other) {
    std::string changed = text;
    return lock_record_in(changed.replace(changed.find(line), line.size(), other));
  };
  const std::string pid = fmt::format("pid: {}\n", record.pid);
  for (const char* bad : {"pid: 0\n", "pid: -1\n", "pid: 99999999999\n", "pid: \n", "pid: 1e3\n", ""})
    EXPECT_FALSE(with(pid, bad)) << bad;
  for (const char* bad : {"refresh ms: 0\n", "refresh ms: -5\n", "refresh ms: 1000000000\n"})
    EXPECT_FALSE(with("refresh ms: 2000\n", bad)) << bad;
  EXPECT_FALSE(with("token: " + record.token, "token: ../../victim.file"));
}

}  // namespace
}  // namespace convoy::testing
