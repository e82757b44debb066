// Files are whole or as they were, also when writing fails.
#include "src/io/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <iterator>

#include "src/core/error.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

/// Files of this process cannot grow beyond so many bytes: as on a disk that fills up.
class ScopedFileSizeLimit {
 public:
  explicit ScopedFileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~ScopedFileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  ScopedFileSizeLimit(const ScopedFileSizeLimit&) = delete;
  ScopedFileSizeLimit& operator=(const ScopedFileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class AtomicFile : public ::testing::Test {
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

TEST_F(AtomicFile, HoldsWhatWasWrittenLastAndNothingElseIsLeft) {
  for (const std::string& bytes : {std::string(100000, 'a'), std::string("b\0c", 3), std::string()}) {
    write_file_atomically(path_, bytes);
    EXPECT_EQ(read_file(path_), bytes);
    EXPECT_EQ(entries(), 1);
  }
}

TEST_F(AtomicFile, StaysAsItWasWhenTheDiskIsFull) {
  write_file_atomically(path_, "before");
  const std::string problem = [&] {
    const ScopedFileSizeLimit limit(1000);
    return problem_with_writing(path_, std::string(2000, 'x'));
  }();
  EXPECT_NE(problem.find("cannot write"), std::string::npos) << problem;
  EXPECT_EQ(read_file(path_), "before");
  EXPECT_EQ(entries(), 1) << "the temporary file is removed";
}

TEST_F(AtomicFile, DoesNotReplaceAFolder) {
  fs::create_directories(path_ / "inside");
  EXPECT_NE(problem_with_writing(path_, "x").find("cannot rename"), std::string::npos);
  EXPECT_TRUE(fs::exists(path_ / "inside"));
  EXPECT_EQ(entries(), 1) << "the temporary file is removed";
}

TEST_F(AtomicFile, NeedsItsFolder) {
  EXPECT_NE(problem_with_writing(path_ / "file", "x").find("No such file"), std::string::npos);
  EXPECT_EQ(entries(), 0);
  EXPECT_THROW(read_file(path_), Error);
}

}  // namespace
}  // namespace convoy::testing
