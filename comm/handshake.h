// How a rank and rank 0 prove to each other that they belong to the same run, and what they say afterwards.
//
//     rank -> rank 0   Hello      who I am, and a nonce
//     rank 0 -> rank   Challenge  another nonce, and a tag over both: rank 0 has the key
//     rank -> rank 0   Proof      another tag over both: the rank has the key, and answers now
//
// The key itself never passes through these connections; MPI distributes it. Both sides then derive a key for
// each direction of this connection from both nonces. Each message carries a tag over its number and content,
// so that one that is made up, altered, sent again or left out is noticed: the connection then ends.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "comm/authentication.h"
#include "comm/heartbeat_message.h"
#include "comm/socket.h"

namespace convoy {

struct Hello {
  std::array<char, 8> protocol;
  std::int64_t rank;
  Nonce nonce;
};
struct Challenge {
  Nonce nonce;
  Tag tag;
};
struct Proof {
  Tag tag;
};

struct SessionKeys {
  Key of_rank;  ///< for what the rank says to rank 0
  Key of_root;  ///< for what rank 0 says to the rank
};

/// A rank's part of the handshake.
class RankHandshake {
 public:
  RankHandshake(const Key& key, int rank);
  const Hello& hello() const { return hello_; }
  /// Nothing if the sender of the challenge does not have the key.
  std::optional<Proof> answer(const Challenge& challenge);
  /// After answer().
  const SessionKeys& keys() const { return keys_; }

 private:
  Key key_;
  Hello hello_{};
  SessionKeys keys_{};
};

/// Rank 0's part.
class RootHandshake {
 public:
  explicit RootHandshake(const Key& key) : key_(key) {}
  /// None where the hello is another protocol's, or of no rank from 1 to `size` - 1.
  std::optional<Challenge> challenge(const Hello& hello, int size);
  /// Whether the rank has the key. Then rank() is its number, and keys() protect the connection.
  bool accept(const Proof& proof);
  int rank() const { return static_cast<int>(hello_.rank); }
  const SessionKeys& keys() const { return keys_; }

 private:
  Key key_;
  Hello hello_{};
  Nonce nonce_{};
  SessionKeys keys_{};
};

/// A connection after the handshake: what take() gives was sent by the other side, once, in this order.
class SealedChannel {
 public:
  SealedChannel(Channel channel, const Key& outgoing, const Key& incoming)
      : channel_(std::move(channel)), outgoing_(outgoing), incoming_(incoming) {}

  int fd() const { return channel_.fd(); }
  bool ended() const { return channel_.ended(); }
  bool has_unsent() const { return channel_.has_unsent(); }
  void send_unsent() { channel_.send_unsent(); }
  void receive() { channel_.receive(); }

  void send(const HeartbeatMessage& message);
  /// The next message that has come in full. Closes the connection at one whose tag is wrong.
  std::optional<HeartbeatMessage> take();

 private:
  Channel channel_;
  Key outgoing_, incoming_;
  std::uint64_t sent_ = 0, taken_ = 0;
};

}  // namespace convoy
