#include "src/cli/onnx_runtime.h"

#include <fmt/ranges.h>
#include <onnx_answers_py.h>  // made by CMakeLists.txt of onnx_answers.py
#include <spawn.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "comm/wait.h"
#include "core/error.h"
#include "core/number.h"
#include "core/python.h"
#include "core/regular_file.h"

extern char** environ;

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr int package_is_missing = 3;  // onnx_answers.py's exit code

int chosen_patience() {
  const char* chosen = std::getenv("CONVOY_PYTHON_TIMEOUT");
  if (chosen == nullptr) return 300;
  constexpr int week = 7 * 24 * 3600;
  const std::optional<int> seconds = integer_in(chosen, 1, week);
  if (!seconds) fail_usage("CONVOY_PYTHON_TIMEOUT: expected seconds from 1 to {}, got \"{}\"", week, chosen);
  return *seconds;
}

/// Empty where there is none: the exit code of who should have written it says why.
std::string contents_of(const fs::path& path) {
  try {
    return read_file(path);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

OnnxRuntime::Folder::Folder() {
  std::error_code error;
  const fs::path place = fs::temp_directory_path(error);
  if (error)
    fail("cannot verify: there is no folder for temporary files; set TMPDIR to one: {}", error.message());
  std::string name = (place / "convoy-verify-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail("cannot verify: {}: {}", name, std::strerror(errno));
  path = name;
}
OnnxRuntime::Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

OnnxRuntime::OnnxRuntime(const fs::path& model) : python_(chosen_python()), patience_(chosen_patience()) {
  std::vector<std::string> words{python_, "-c", onnx_answers_py, model.string(), answers_file().string()};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};  // ours and its: a socket, since writing to one raises no signal
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    fail("cannot verify: {}", std::strerror(errno));
  stream_ = FileDescriptor(ends[0]);
  const FileDescriptor its_end(ends[1]);
  const timeval limit{patience_, 0};
  ::setsockopt(stream_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, its_end.get(), STDIN_FILENO);
  const int problem =
      ::posix_spawnp(&process_, python_.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) {
    fail("cannot verify: {} cannot be started ({}); install Python 3, or name one in CONVOY_PYTHON", python_,
         std::strerror(problem));
  }
}

OnnxRuntime::~OnnxRuntime() {
  finish();
}

fs::path OnnxRuntime::answers_file() const {
  return folder_.path / "logits";
}

int OnnxRuntime::finish() {
  if (process_ < 0) return 0;
  stream_.reset();
  int status = 0;
  for (PatientWait wait; ::waitpid(process_, &status, WNOHANG) == 0; wait.pause()) {
    stuck_ |= wait.taken() > std::chrono::seconds(patience_);
    if (stuck_) ::kill(process_, SIGKILL);
  }
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void OnnxRuntime::send(std::string_view bytes) {
  while (listening_ && !bytes.empty()) {
    const ssize_t sent = ::send(stream_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0)
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    else if (errno != EINTR) {
      stuck_ = errno == EAGAIN || errno == EWOULDBLOCK;
      listening_ = false;  // it has ended, or will now: answers() finds out why
    }
  }
}

void OnnxRuntime::ask(const fs::path& file) {
  const std::string& name = file.native();
  send(fmt::format("{{\"file\": {}}}\n{}", name.size(), name));
}

void OnnxRuntime::ask(std::span<const std::uint8_t> pixels, const std::vector<int>& shape) {
  send(fmt::format("{{\"shape\": [{}]}}\n", fmt::join(shape, ", ")));
  send({reinterpret_cast<const char*>(pixels.data()), pixels.size()});
}

std::vector<float> OnnxRuntime::answers() {
  const int code = finish();
  const std::string bytes = contents_of(answers_file());
  if (stuck_)
    fail(
        "cannot verify: {} did not answer for {} s and was killed; set CONVOY_PYTHON_TIMEOUT to more seconds "
        "if it is only slow",
        python_, patience_);
  if (code == package_is_missing)
    fail(
        "cannot verify: {} has no {}; pip install onnxruntime numpy pillow, or name another Python in "
        "CONVOY_PYTHON",
        python_, bytes);
  if (code != 0) fail("cannot verify: {} ended with exit code {}, after its message above", python_, code);
  std::vector<float> logits(bytes.size() / sizeof(float));
  std::memcpy(logits.data(), bytes.data(), logits.size() * sizeof(float));
  return logits;
}

}  // namespace convoy
