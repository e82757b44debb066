// OMP_NUM_THREADS for a while.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace convoy::testing {

class ThreadVariable {
 public:
  explicit ThreadVariable(int threads) {
    if (const char* text = std::getenv(name)) before_ = text;
    set(threads);
  }
  ~ThreadVariable() { before_ ? setenv(name, before_->c_str(), 1) : unsetenv(name); }
  ThreadVariable(const ThreadVariable&) = delete;
  ThreadVariable& operator=(const ThreadVariable&) = delete;

  void set(int threads) { setenv(name, std::to_string(threads).c_str(), 1); }

 private:
  static constexpr const char* name = "OMP_NUM_THREADS";
  std::optional<std::string> before_;
};

}  // namespace convoy::testing
