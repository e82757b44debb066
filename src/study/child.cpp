#include "src/study/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>

#include "core/error.h"

extern char** environ;

namespace convoy {
namespace {

/// Pointers for C, as long as `words` live.
std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// This process's variables, with `more` in place of those of their names.
std::vector<std::string> environment_with(const std::vector<std::string>& more) {
  std::vector<std::string> all = more;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable, name = text.substr(0, text.find('=') + 1);
    const auto replaces = [&](const std::string& other) { return other.starts_with(name); };
    if (std::none_of(more.begin(), more.end(), replaces)) all.push_back(text);
  }
  return all;
}

struct SpawnActions {
  SpawnActions() { ::posix_spawn_file_actions_init(&actions); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t actions;
};

}  // namespace

int run_child(const ChildCommand& command, const std::filesystem::path& log,
              const std::function<bool()>& stop) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::string> words = command.words, variables = environment_with(command.variables);
  SpawnActions files;
  ::posix_spawn_file_actions_addopen(&files.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files.actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0666);
  ::posix_spawn_file_actions_adddup2(&files.actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t process = -1;
  const int problem = ::posix_spawnp(&process, words.front().c_str(), &files.actions, nullptr,
                                     pointers_to(words).data(), pointers_to(variables).data());
  if (problem != 0) fail("cannot start {}: {}", words.front(), std::strerror(problem));
  constexpr std::chrono::seconds patience{10};
  std::optional<Clock::time_point> asked;
  bool killed = false;
  int status = 0;
  for (;;) {
    const pid_t ended = ::waitpid(process, &status, WNOHANG);
    if (ended == process) break;
    if (ended < 0 && errno != EINTR) fail("cannot wait for {}: {}", words.front(), std::strerror(errno));
    if (!asked && stop()) {
      asked = Clock::now();
      ::kill(process, SIGTERM);
    }
    if (asked && !killed && Clock::now() - *asked > patience) killed = ::kill(process, SIGKILL) == 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace convoy
