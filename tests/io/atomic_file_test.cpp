// Files are whole or as they were, also when writing fails.
#include "src/io/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <iterator>

#include "core/error.h"
#include "core/regular_file.h"
#include "tests/io/scoped_limits.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

class AtomicFiles : public ::testing::Test {
 protected:
  std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator());
  }
  /// What writing complains of; it names the file.
  std::string problem_with_writing(const fs::path& path, const std::string& bytes) {
    try {
      write_file_atomically(path, bytes);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
      return error.what();
    }
    return "no problem";
  }
  const TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "file";
};

TEST_F(AtomicFiles, HoldsWhatWasWrittenLastAndNothingElseIsLeft) {
  for (const std::string& bytes : {std::string(100000, 'a'), std::string("b\0c", 3), std::string()}) {
    write_file_atomically(path_, bytes);
    EXPECT_EQ(read_file(path_), bytes);
    EXPECT_EQ(entries(), 1);
  }
}

TEST_F(AtomicFiles, StaysAsItWasWhenTheDiskIsFull) {
  write_file_atomically(path_, "before");
  const std::string problem = [&] {
    const ScopedFileSizeLimit limit(1000);
    return problem_with_writing(path_, std::string(2000, 'x'));
  }();
  EXPECT_NE(problem.find("cannot write"), std::string::npos) << problem;
  EXPECT_EQ(read_file(path_), "before");
  EXPECT_EQ(entries(), 1) << "the temporary file is removed";
}

TEST_F(AtomicFiles, DoesNotReplaceAFolder) {
  fs::create_directories(path_ / "inside");
  EXPECT_NE(problem_with_writing(path_, "x").find("it is a folder"), std::string::npos);
  EXPECT_TRUE(fs::exists(path_ / "inside"));
  EXPECT_EQ(entries(), 1) << "the temporary file is removed";
}

TEST_F(AtomicFiles, ReplacesTheFileThatALinkLeadsTo) {
  const fs::path link = folder_.path() / "link";
  fs::create_symlink(path_, link);
  EXPECT_NE(problem_with_writing(link, "x").find("leads to no file"), std::string::npos);
  write_file_atomically(path_, "before");
  write_file_atomically(link, "after");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_file(path_), "after");
}

TEST_F(AtomicFiles, DoesNotReplaceAPipe) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(problem_with_writing(path_, "x").find("it is a pipe"), std::string::npos);
  const fs::path link = folder_.path() / "link";
  fs::create_symlink(path_, link);
  EXPECT_NE(problem_with_writing(link, "x").find("link to a pipe"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(path_));
  EXPECT_EQ(entries(), 2);
}

TEST_F(AtomicFiles, DoesNotReplaceAnOpenFileByItsDescriptor) {
  write_file_atomically(path_, "before");
  const FileDescriptor open(::open(path_.c_str(), O_WRONLY));
  const fs::path link = folder_.path() / "link", by_proc = fmt::format("/proc/self/fd/{}", open.get());
  fs::create_symlink(by_proc, link);
  for (const fs::path& path : {by_proc, fs::path(fmt::format("/dev/fd/{}", open.get())), link})
    EXPECT_NE(problem_with_writing(path, "x").find("an open file or another part of a process"),
              std::string::npos);
  const fs::path device = "/dev/convoy-test";
  EXPECT_NE(problem_with_writing(device, "x").find("/dev is for devices"), std::string::npos);
  EXPECT_FALSE(fs::exists(device));
  EXPECT_EQ(read_file(path_), "before");
}

TEST_F(AtomicFiles, AppendsToNoPipe) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THROW(append_to_file(path_, "x"), Error) << "without waiting for a reader";
  const FileDescriptor reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK));
  EXPECT_THROW(append_to_file(path_, "x"), Error);
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "nor did it write";
}

TEST_F(AtomicFiles, DoesNotFollowALinkAtATemporaryName) {
  const fs::path victim = folder_.path() / "victim";
  write_file_atomically(victim, "precious");
  fs::create_symlink(victim, folder_.path() / "file.tmp");
  write_file_atomically(path_, "x");
  EXPECT_EQ(read_file(victim), "precious");
  EXPECT_FALSE(fs::is_symlink(path_));
}

TEST_F(AtomicFiles, TwoWritersOfOneNameDoNotMix) {
  AtomicFile first(path_), second(path_);
  first.write(std::as_bytes(std::span("first", 5)));
  second.write(std::as_bytes(std::span("2nd", 3)));
  first.commit();
  EXPECT_EQ(read_file(path_), "first");
  second.commit();
  EXPECT_EQ(read_file(path_), "2nd");
  EXPECT_EQ(entries(), 1);
}

TEST_F(AtomicFiles, WhatIsNotCommittedIsNotThere) {
  {
    AtomicFile file(path_);
    file.write(std::as_bytes(std::span("abcdef", 6)));
    EXPECT_EQ(entries(), 1) << "under its temporary name";
  }
  EXPECT_EQ(entries(), 0);
  AtomicFile file(path_);
  file.write(std::as_bytes(std::span("abc", 3)));
  file.write(std::as_bytes(std::span("def", 3)));
  file.overwrite(2, std::as_bytes(std::span("CD", 2)));
  file.commit();
  EXPECT_EQ(read_file(path_), "abCDef");
}

TEST_F(AtomicFiles, AppendingIsAllOrNothing) {
  append_to_file(path_, "one\n");
  {
    const ScopedFileSizeLimit limit(10);
    EXPECT_THROW(append_to_file(path_, "two, too long\n"), Error);
  }
  EXPECT_EQ(read_file(path_), "one\n");
  append_to_file(path_, "two\n");
  EXPECT_EQ(read_file(path_), "one\ntwo\n");
}

TEST_F(AtomicFiles, NeedsItsFolder) {
  EXPECT_NE(problem_with_writing(path_ / "file", "x").find("No such file"), std::string::npos);
  EXPECT_EQ(entries(), 0);
  EXPECT_THROW(read_file(path_), Error);
}

}  // namespace
}  // namespace convoy::testing
