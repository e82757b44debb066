// Where rank 0 accepts connections of the other ranks, also of those that lost theirs. They prove with the
// run's key who they are.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "comm/handshake.h"
#include "comm/socket.h"

namespace convoy {

/// Strangers cost a few descriptors and cannot lock ranks out: each has seconds to prove itself, and if all
/// places are taken, the oldest one that has sent nothing is dropped. At the process's limit of descriptors
/// the gate pauses.
class Gate {
 public:
  using Clock = std::chrono::steady_clock;

  /// Listens at this host's loopback address where all ranks are on it, else at its other addresses. Throws
  /// Error.
  Gate(const Key& key, int size, bool one_host);

  /// The addresses to connect to.
  std::vector<Door> doors() const;

  struct Arrival {
    int rank = 0;
    SealedChannel channel;
  };
  /// Those that have proved to be a rank since the last call. Never blocks.
  std::vector<Arrival> admit(Clock::time_point now);
  /// Every rank has connected once: closes the addresses that no rank used.
  void close_unused();

  /// Adds what admit() waits for.
  void watch(std::vector<pollfd>& files, Clock::time_point now) const;
  /// When admit() is due even if nothing comes.
  Clock::time_point next_deadline() const;

 private:
  struct Doorway {
    Listener listener;
    bool used = false;
  };
  struct Stranger {
    Channel channel;
    std::size_t door = 0;
    Clock::time_point since;
    std::optional<RootHandshake> handshake{};  ///< once it has said hello
  };

  void take_connections(std::size_t door, Clock::time_point now);
  void hear(Stranger& stranger);
  bool make_room();

  const Key key_;
  const int size_;
  const std::size_t most_strangers_;
  std::vector<Doorway> doors_;
  std::vector<Stranger> strangers_;  ///< the oldest first
  std::vector<Arrival> arrivals_;
  Clock::time_point rest_until_{};  ///< no descriptor was free
};

/// The connecting side. `refused`: the host answers, but no process listens at the port.
struct Entry {
  std::optional<SealedChannel> channel;
  bool refused = false;
};
/// Tries once; blocks for up to `limit` at each of two messages.
Entry enter(const Door& door, const Key& key, int rank, std::chrono::milliseconds limit);

}  // namespace convoy
