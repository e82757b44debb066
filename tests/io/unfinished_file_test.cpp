// What killed writers leave is removed, and never what a living one writes.
#include "src/io/unfinished_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

class UnfinishedFiles : public ::testing::Test {
 protected:
  std::set<std::string> names() const {
    std::set<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_.path())) all.insert(entry.path().filename());
    return all;
  }
  /// What a writer of this name leaves that is killed.
  void leave(const std::string& name) const {
    const pid_t pid = fork();
    if (pid == 0) {
      AtomicFile file(folder_.path() / name);
      file.write(std::as_bytes(std::span("half", 4)));
      raise(SIGKILL);
    }
    waitpid(pid, nullptr, 0);
  }
  const TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "file";
};

TEST_F(UnfinishedFiles, OfAKilledWriterIsRemovedByTheNextOfTheSameName) {
  leave("file");
  leave("other");
  ASSERT_EQ(names().size(), 2u);
  write_file_atomically(path_, "x");
  ASSERT_EQ(names().size(), 2u);
  EXPECT_TRUE(names().contains("file"));
  remove_abandoned(folder_.path());
  EXPECT_EQ(names(), std::set<std::string>{"file"});
}

TEST_F(UnfinishedFiles, OfALivingWriterStays) {
  AtomicFile living(path_);
  living.write(std::as_bytes(std::span("living", 6)));
  write_file_atomically(path_, "next");
  remove_abandoned(folder_.path());
  EXPECT_EQ(names().size(), 2u);
  living.commit();
  EXPECT_EQ(read_file(path_), "living");
  EXPECT_EQ(names(), std::set<std::string>{"file"});
}

TEST_F(UnfinishedFiles, OtherNamesAndOtherThingsStay) {
  const fs::path victim = folder_.path() / "victim";
  for (const char* name :
       {"victim", "file.tmp", "file.0123abc.tmp", "file.0123abcde.tmp", "file.0123ABCD.tmp",
        "file.0123abcg.tmp", "fil.0123abcd.tmp", "file.x.0123abcd.tmp", ".0123abcd.tmp"})
    write_file_atomically(folder_.path() / name, "precious");
  fs::create_symlink(victim, folder_.path() / "file.00000000.tmp");
  fs::create_directory(folder_.path() / "file.00000001.tmp");
  ASSERT_EQ(::mkfifo((folder_.path() / "file.00000002.tmp").c_str(), 0600), 0);
  std::set<std::string> before = names();
  write_file_atomically(path_, "x");
  before.insert("file");
  EXPECT_EQ(names(), before);
  remove_abandoned(folder_.path());
  before.erase("fil.0123abcd.tmp");
  before.erase("file.x.0123abcd.tmp");
  EXPECT_EQ(names(), before) << "of all names, those of eight digits";
}

TEST_F(UnfinishedFiles, NoWriterLosesItsFileToARemover) {
  std::atomic<bool> done = false;
  std::vector<std::jthread> removers;
  for (int i = 0; i < 2; ++i) {
    removers.emplace_back([&] {
      while (!done) remove_abandoned(folder_.path());
    });
  }
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 2; ++i) {
      writers.emplace_back([&] {
        for (int round = 0; round < 400; ++round) {
          UnfinishedFile made = create_unfinished(path_);
          std::this_thread::yield();
          EXPECT_EQ(::rename(made.path.c_str(), path_.c_str()), 0) << made.path << " is gone";
        }
      });
    }
  }
  done = true;
}

}  // namespace
}  // namespace convoy::testing
