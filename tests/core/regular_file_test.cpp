// The one opener of files that are read: what it refuses, and that it never waits.
#include "core/regular_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "tests/data/support.h"
#include "tests/io/scoped_limits.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

class OpenedFile : public ::testing::Test {
 protected:
  fs::path at(const char* name) const { return folder_.path() / name; }
  std::string problem(const fs::path& path, std::uint64_t most = 100) const {
    const std::string opening = message_of([&] { RegularFile{path}; });
    const std::string reading = message_of([&] { read_file(path, most); });
    if (opening != "no error") {
      EXPECT_EQ(reading, opening);
      EXPECT_EQ(message_of([&] { read_named_file(path, most); }), opening);
    }
    return reading;
  }
  const TemporaryFolder folder_;
};

TEST_F(OpenedFile, IsReadAtAnyPlace) {
  folder_.write("x", {'a', 'b', 'c', 'd'});
  const RegularFile file(at("x"));
  EXPECT_EQ(file.size(), 4u);
  std::array<std::byte, 2> bytes{};
  file.read_at(1, bytes);
  EXPECT_EQ(bytes, (std::array{std::byte{'b'}, std::byte{'c'}}));
  EXPECT_EQ(file.read_up_to(3, bytes), 1u);
  EXPECT_EQ(bytes[0], std::byte{'d'});
  EXPECT_EQ(file.read_up_to(9, bytes), 0u);
  EXPECT_EQ(read_file(at("x")), "abcd");
}

TEST_F(OpenedFile, ThatWasCutShortIsAnErrorThatNamesIt) {
  folder_.write("x", Bytes(10000));
  const RegularFile file(at("x"));
  fs::resize_file(at("x"), 5000);
  std::array<std::byte, 100> bytes{};
  file.read_at(4900, bytes);
  EXPECT_EQ(message_of([&] { file.read_at(4950, bytes); }),
            "cannot read " + at("x").string() +
                ": it ends at byte 5000 and had 10000 when it was opened: somebody has cut it short");
}

TEST_F(OpenedFile, IsNoFolderPipeSocketOrDevice) {
  const auto expected = [&](const char* name, const char* kind) {
    return fmt::format("cannot read {}: it is {}; name a file", at(name).string(), kind);
  };
  fs::create_directory(at("folder"));
  EXPECT_EQ(problem(at("folder")), expected("folder", "a folder"));
  ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_EQ(problem(at("pipe")), expected("pipe", "a pipe")) << "and nobody writes to it";
  fs::create_symlink("pipe", at("link"));
  EXPECT_EQ(problem(at("link")), expected("link", "a pipe"));
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, at("socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(problem(at("socket")), expected("socket", "a socket"));
  EXPECT_EQ(problem("/dev/null"), "cannot read /dev/null: it is a device; name a file");
  if (mknod(at("zero").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0) {  // as root
    EXPECT_EQ(problem(at("zero")), expected("zero", "a device"));
  }
}

TEST_F(OpenedFile, ThatCannotBeOpenedSaysWhy) {
  expect_contains(problem(at("none")), {"cannot read", "none: No such file or directory"});
  fs::create_symlink("loop", at("loop"));
  expect_contains(problem(at("loop")), {"loop: Too many levels of symbolic links"});
  folder_.write("closed", {'x'});
  fs::permissions(at("closed"), fs::perms::none);
  const ScopedUnprivileged user;
  if (ScopedUnprivileged::is_effective()) {
    expect_contains(problem(at("closed")), {"Permission denied"});
  }
}

TEST_F(OpenedFile, HasABound) {
  folder_.write("x", Bytes(100, 'x'));
  EXPECT_EQ(read_file(at("x"), 100).size(), 100u);
  expect_contains(problem(at("x"), 99), {"more than the 99 bytes"});
  fs::resize_file(at("x"), std::uintmax_t{1} << 40);  // with a hole in it, and more than the memory
  expect_contains(problem(at("x"), 1 << 20), {"more than the 1048576 bytes"});
}

TEST_F(OpenedFile, OfTheSystemThatSaysItHasNoBytesIsRead) {
  EXPECT_FALSE(read_file("/proc/self/status").empty());
}

/// A pipe as the shell hands it over: by the name of a descriptor.
class ShellPipe {
 public:
  ShellPipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("no pipe");
    read_ = FileDescriptor(ends[0]);
    write_ = FileDescriptor(ends[1]);
  }
  std::string name() const { return fmt::format("/dev/fd/{}", read_.get()); }
  void write(const std::string& text) const {
    if (::write(write_.get(), text.data(), text.size()) < 0) fail("the pipe does not take it");
  }
  void close() { write_.reset(); }

 private:
  FileDescriptor read_, write_;
};

TEST_F(OpenedFile, OfTheShellMayBeAPipe) {
  ShellPipe pipe;
  EXPECT_TRUE(is_shell_pipe(pipe.name()));
  expect_contains(message_of([&] { read_file(pipe.name()); }), {"it is a pipe"});
  pipe.write("first ");
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pipe.write("second");
    pipe.close();
  });
  EXPECT_EQ(read_named_file(pipe.name()), "first second");
  writer.join();
  EXPECT_EQ(read_named_file(pipe.name()), "") << "whose writer has gone";
}

TEST_F(OpenedFile, OfTheShellHasABound) {
  const ShellPipe pipe;
  pipe.write(std::string(1000, 'x'));
  expect_contains(message_of([&] { read_named_file(pipe.name(), 999); }), {"more than the 999 bytes"});
}

TEST_F(OpenedFile, OfTheShellIsNotWaitedForWhenASignalComes) {
  const ShellPipe pipe;
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;  // as StopRequest has it
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t reader = pthread_self();
  std::atomic<bool> done{false};
  std::thread sender([&] {  // also before the reader waits: until it has ended
    while (!done) {
      pthread_kill(reader, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const std::string message = message_of([&] { read_named_file(pipe.name()); });
  done = true;
  sender.join();
  sigaction(SIGUSR1, &before, nullptr);
  expect_contains(message, {"a signal came before its end"});
}

}  // namespace
}  // namespace convoy::testing
