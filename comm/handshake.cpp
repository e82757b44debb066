#include "comm/handshake.h"

namespace convoy {
namespace {

constexpr std::array<char, 8> protocol{'c', 'o', 'n', 'v', 'o', 'y', 'h', '2'};

/// What both sides know of a connection after both nonces were sent.
struct Transcript {
  Hello hello;
  Nonce nonce;
};

struct Numbered {
  std::uint64_t number;
  HeartbeatMessage message;
};
struct Sealed {
  HeartbeatMessage message;
  Tag tag;
};

SessionKeys session_keys(const Key& key, const Transcript& transcript) {
  return {tag_of(key, "session of rank", transcript), tag_of(key, "session of root", transcript)};
}

}  // namespace

RankHandshake::RankHandshake(const Key& key, int rank) : key_(key), hello_{protocol, rank, random_bytes()} {}

std::optional<Proof> RankHandshake::answer(const Challenge& challenge) {
  const Transcript transcript{hello_, challenge.nonce};
  if (!is_same(challenge.tag, tag_of(key_, "challenge", transcript))) return std::nullopt;
  keys_ = session_keys(key_, transcript);
  return Proof{tag_of(key_, "proof", transcript)};
}

std::optional<Challenge> RootHandshake::challenge(const Hello& hello, int size) {
  if (hello.protocol != protocol || hello.rank < 1 || hello.rank >= size) return std::nullopt;
  hello_ = hello;
  nonce_ = random_bytes();
  return Challenge{nonce_, tag_of(key_, "challenge", Transcript{hello_, nonce_})};
}

bool RootHandshake::accept(const Proof& proof) {
  const Transcript transcript{hello_, nonce_};
  if (!is_same(proof.tag, tag_of(key_, "proof", transcript))) return false;
  keys_ = session_keys(key_, transcript);
  return true;
}

void SealedChannel::send(const HeartbeatMessage& message) {
  channel_.send(Sealed{message, tag_of(outgoing_, "message", Numbered{sent_++, message})});
}

std::optional<HeartbeatMessage> SealedChannel::take() {
  const std::optional<Sealed> sealed = channel_.take<Sealed>();
  if (!sealed) return std::nullopt;
  if (!is_same(sealed->tag, tag_of(incoming_, "message", Numbered{taken_++, sealed->message}))) {
    channel_.close();
    return std::nullopt;
  }
  return sealed->message;
}

}  // namespace convoy
