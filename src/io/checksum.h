// SHA-256, as `sha256sum` prints it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace convoy {

/// The sum of bytes that come piece by piece. Throws Error where libcrypto cannot do it.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(std::span<const std::byte> bytes);
  /// Of all bytes so far, as 64 hexadecimal digits; the next update() begins anew.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of a file's content; throws Error when it cannot be read.
std::string sha256_of(const std::filesystem::path& path);

/// What a file in the format of `sha256sum` says: sum by file name. Lines that begin with # are left out.
/// Throws Error that names the file and line of anything else.
std::map<std::string, std::string> read_sums(const std::filesystem::path& path);

}  // namespace convoy
