#include "comm/authentication.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/error.h"

namespace convoy {

std::array<unsigned char, 32> random_bytes() {
  std::array<unsigned char, 32> bytes{};
  ssize_t got = 0;
  do {  // at most 256 bytes come in one piece
    got = ::getrandom(bytes.data(), bytes.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(bytes.size())) fail("getrandom: {}", std::strerror(errno));
  return bytes;
}

Tag tag_of(const Key& key, std::string_view purpose, std::span<const std::byte> message) {
  std::string text(purpose);
  text.push_back('\0');
  text.append(reinterpret_cast<const char*>(message.data()), message.size());
  Tag tag{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), tag.data(), &size) == nullptr ||
      size != tag.size())
    fail("libcrypto cannot compute HMAC-SHA256");
  return tag;
}

bool is_same(const Tag& one, const Tag& other) {
  return CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace convoy
