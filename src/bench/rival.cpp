#include "src/bench/rival.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <type_traits>

#include "core/log.h"
#include "src/io/atomic_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

Axes extents(const FeatureShape& shape) {
  return {shape.d, shape.h, shape.w};
}

nlohmann::ordered_json to_json(const ConvShape& s) {
  return {{"n", s.n},
          {"in", extents(s.in)},
          {"c", s.in.c},
          {"k", s.k},
          {"out", extents(s.out())},
          {"kernel", Axes{s.t, s.r, s.s}},
          {"stride", s.stride},
          {"pad", s.pad},
          {"dilation", s.dilation},
          {"groups", s.groups}};
}

/// A file with the requests that is gone when the rival has answered.
class RequestFile {
 public:
  explicit RequestFile(const std::string& text)
      : path_(fs::temp_directory_path() / fmt::format("convoy-rival-{}", ::getpid())) {
    write_file_atomically(path_, text);
  }
  ~RequestFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  RequestFile(const RequestFile&) = delete;
  RequestFile& operator=(const RequestFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// For the shell.
std::string quoted(const fs::path& path) {
  std::string out = "'";
  for (const char c : path.string()) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// What a command prints. Throws when it cannot be started or fails.
std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) fail("cannot start {}", command);
  std::string out;
  std::array<char, 4096> buffer;
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    out.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  if (status != 0) {
    fail("{} ended with {}", command,
         WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status)) : "a signal");
  }
  return out;
}

}  // namespace

fs::path cudnn_program() {
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "bench" / "convoy_cudnn";
  return fs::exists(program) ? program : fs::path{};
}

std::string rival_request(const Call& call) {
  return std::visit(
      []<class C>(const C& c) -> std::string {
        if constexpr (std::is_same_v<C, ConvForward> || std::is_same_v<C, ConvDgrad> ||
                      std::is_same_v<C, ConvWgrad>) {
          nlohmann::ordered_json json = {{"call", C::name}};
          if constexpr (std::is_same_v<C, ConvDgrad>) {
            json["type"] = name_of(c.dy.dtype);
          } else {
            json["type"] = name_of(c.x.dtype);
          }
          json["tf32"] = c.math == Math::tf32;
          json.update(to_json(c.shape));
          return json.dump();
        }
        return {};
      },
      call);
}

std::vector<std::optional<RivalTime>> ask_rival(const fs::path& program,
                                                const std::vector<std::string>& requests) {
  std::string text;
  for (const std::string& request : requests) {
    if (!request.empty()) text += request + "\n";
  }
  const RequestFile file(text);
  std::istringstream answers(output_of(quoted(program) + " " + quoted(file.path())));
  std::vector<std::optional<RivalTime>> times(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].empty()) continue;
    std::string line;
    if (!std::getline(answers, line)) fail("{} answered too few requests", program.string());
    const auto answer = nlohmann::json::parse(line, nullptr, false);
    if (answer.contains("seconds")) {
      times[i] = {answer.at("seconds").get<double>(), answer.value("algorithm", "")};
    } else {
      log_warn("{}: {} for {}", program.filename().string(), answer.value("error", line), requests[i]);
    }
  }
  return times;
}

}  // namespace convoy
