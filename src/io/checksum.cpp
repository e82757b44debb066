#include "src/io/checksum.h"

#include <openssl/evp.h>

#include <array>
#include <cctype>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "core/regular_file.h"

namespace convoy {

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  bool begun = false;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  EVP_MD_CTX* context = state_->context.get();
  if (!state_->begun && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1)
    fail("libcrypto cannot compute SHA-256 sums");
  state_->begun = true;
  if (EVP_DigestUpdate(context, bytes.data(), bytes.size()) != 1)
    fail("libcrypto failed within a SHA-256 sum");
}

std::string Sha256::finish() {
  if (!state_->begun) update({});
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(state_->context.get(), digest.data(), &size) != 1)
    fail("libcrypto failed at the end of a SHA-256 sum");
  state_->begun = false;
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_of(const std::filesystem::path& path) {
  const RegularFile file(path);
  Sha256 sum;
  std::vector<std::byte> piece(1 << 18);
  std::uint64_t done = 0;
  while (const std::size_t got = file.read_up_to(done, piece)) {
    sum.update(std::span(piece).first(got));
    done += got;
  }
  return sum.finish();
}

std::map<std::string, std::string> read_sums(const std::filesystem::path& path) {
  constexpr std::size_t digits = 64;
  std::map<std::string, std::string> sums;
  std::istringstream lines(read_file(path));
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    // 64 digits, a blank, a blank or an asterisk, the name
    std::string sum = line.substr(0, digits);
    for (char& c : sum) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool fits = line.size() > digits + 2 && line[digits] == ' ' &&
                      (line[digits + 1] == ' ' || line[digits + 1] == '*') &&
                      sum.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!fits)
      fail("{}:{}: expected a line of sha256sum: 64 hexadecimal digits, two blanks, a file's name",
           path.string(), number);
    sums[line.substr(digits + 2)] = sum;
  }
  return sums;
}

}  // namespace convoy
