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

#include "core/file_descriptor.h"

namespace convoy {

/// A socket that takes connections to one address of this host.
struct Listener {
  FileDescriptor socket;
  std::string address;  ///< numeric
  std::uint16_t port = 0;
};

/// On a free port; none when the address cannot be listened at.
std::optional<Listener> listen_at(const std::string& address);

enum class Accepted { connection, none_waits, no_descriptor_is_free };
/// Takes the next connection that waits.
Accepted accept_from(const Listener& listener, FileDescriptor& connection);

struct ConnectionAttempt {
  FileDescriptor socket;  ///< none if no answer came within the limit
  bool refused = false;   ///< the host answers, but no process listens at the port
};
ConnectionAttempt connect_to(const std::string& address, std::uint16_t port, std::chrono::milliseconds limit);

/// Waits until something can be read, or the other side has gone; false once `until` has passed.
bool is_readable_before(int socket, std::chrono::steady_clock::time_point until);

/// This host's numeric addresses. Throws Error.
struct OwnAddresses {
  std::vector<std::string> outside, loopback;
};
OwnAddresses own_addresses();

/// A connection that carries values as plain bytes, in the order they were given, as far as it can without
/// waiting.
class Channel {
 public:
  explicit Channel(FileDescriptor socket) : socket_(std::move(socket)), ended_(!socket_) {}
  /// What is left where another one was moved from.
  static Channel ended_one() { return Channel(FileDescriptor()); }
  int fd() const { return socket_.get(); }
  /// The other side closed it, it broke, or it was closed here. What came before can still be taken.
  bool ended() const { return ended_; }
  void close();
  bool has_unsent() const { return !outgoing_.empty() && !ended_; }
  void send_unsent();
  /// Reads what has arrived. No other function does, so that a poll before it misses nothing.
  void receive();

  template <class Value>
  void send(const Value& value) {
    static_assert(std::is_trivially_copyable_v<Value>);
    outgoing_.append(reinterpret_cast<const char*>(&value), sizeof value);
    send_unsent();
  }
  /// The oldest value that has come in full.
  template <class Value>
  std::optional<Value> take() {
    static_assert(std::is_trivially_copyable_v<Value>);
    if (incoming_.size() < sizeof(Value)) return std::nullopt;
    Value value;
    incoming_.copy(reinterpret_cast<char*>(&value), sizeof value);
    incoming_.erase(0, sizeof value);
    return value;
  }

 private:
  std::string incoming_, outgoing_;
  FileDescriptor socket_;
  bool ended_ = false;
};

}  // namespace convoy
