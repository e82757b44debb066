// TCP connections as values: closed when they go out of scope, never blocking, never raising SIGPIPE.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/core/file_descriptor.h"

namespace convoy {

struct Listener {
  FileDescriptor socket;
  std::uint16_t port = 0;
};

/// On a free port of all interfaces. Throws Error.
Listener listen_anywhere();
/// The next connection that waits; none when there is none.
FileDescriptor accept_from(const FileDescriptor& listener);
/// None when nobody answers within the limit.
FileDescriptor connect_to(const std::string& address, std::uint16_t port, std::chrono::milliseconds limit);
/// This host's numeric addresses, those of other hosts' interest first, loopback last. Throws Error.
std::vector<std::string> own_addresses();

/// A connection that carries bytes in the order they were given, as far as it can without waiting.
class ByteChannel {
 public:
  explicit ByteChannel(FileDescriptor socket) : socket_(std::move(socket)) {}
  int fd() const { return socket_.get(); }
  /// The other side closed it or it broke. What came before can still be taken.
  bool ended() const { return ended_; }
  bool has_unsent() const { return !outgoing_.empty() && !ended_; }
  void send_unsent();
  /// Takes in what has come. Nothing else does, so that whoever polls first misses nothing.
  void receive();

 protected:
  std::string incoming_, outgoing_;

 private:
  FileDescriptor socket_;
  bool ended_ = false;
};

/// The same for messages of one size.
template <class Message>
class Channel : public ByteChannel {
  static_assert(std::is_trivially_copyable_v<Message>);

 public:
  using ByteChannel::ByteChannel;
  void send(const Message& message) {
    outgoing_.append(reinterpret_cast<const char*>(&message), sizeof message);
    send_unsent();
  }
  /// The oldest message that has come in full.
  std::optional<Message> take() {
    if (incoming_.size() < sizeof(Message)) return std::nullopt;
    Message message;
    incoming_.copy(reinterpret_cast<char*>(&message), sizeof message);
    incoming_.erase(0, sizeof message);
    return message;
  }
};

}  // namespace convoy
