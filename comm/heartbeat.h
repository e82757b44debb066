// Ranks that tell each other that they live, over TCP connections of their own: what a hung collective
// cannot.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/activity.h"
#include "comm/gate.h"
#include "comm/handshake.h"
#include "comm/heartbeat_message.h"

namespace convoy {

using Seconds = std::chrono::duration<double>;

struct HeartbeatLimits {
  Seconds silence{30};  ///< a rank that is silent for so long is stopped or cut off
  Seconds step{1800};   ///< a rank whose step takes longer hangs; 0: may take any time
};

/// One rank's part of a star around rank 0, kept up by a thread of its own.
///
/// Every rank sends a beat at least once a second and judges those it is connected with. Silence means
/// stopped or cut off. A connection that ends without a goodbye means dead where the process is gone, which
/// others on its host can see, or where nobody listens at rank 0's port any more; a rank that lives comes
/// back, with another handshake, and one on another host has a few seconds for it. Rank 0 tells the others of
/// the first failure. What a rank reports of itself is often but the echo of another's death (a collective
/// that broke), so rank 0 waits a moment for a connection to end before it believes it. A rank that was
/// itself stopped for long judges nobody by the silence of that time, and leaves it to the others to speak.
///
/// At the end each rank says goodbye until rank 0 answers, also over another connection, and rank 0 stays
/// until all have: a rank that is stopped on its way out is noticed like any other.
class Heartbeat {
 public:
  /// Called once, from the thread. `first_hand`: noticed here, not told by rank 0.
  using Verdict = std::function<void(const Failure& failure, bool first_hand)>;

  Heartbeat(int rank, int size, std::string host, const HeartbeatLimits& limits, const Activity& activity,
            Verdict verdict);
  /// An orderly end: says goodbye, and rank 0 waits for that of the others. A verdict may end the wait.
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  /// Rank 0, first of all: listens, on one host for this host alone, and admits the others from now on.
  /// Throws Error.
  MeetingPoint open(bool one_host);
  /// Rank 0 waits until all have come, any other connects. Throws Error when that takes longer than `limit`.
  void meet(const MeetingPoint& point, Seconds limit);

  void set_device(const std::string& name);
  /// From now on; silence before does not count.
  void set_limits(const HeartbeatLimits& limits);
  /// This rank cannot go on. Returns at once; a verdict follows within two seconds.
  void report(const std::string& reason, ExitCode code = ExitCode::failure);

 private:
  using Clock = std::chrono::steady_clock;
  using Message = HeartbeatMessage;
  struct Report {
    std::string reason;
    ExitCode code = ExitCode::failure;
  };
  struct Peer {
    int rank = 0;
    std::optional<SealedChannel> channel{};  ///< none: this rank itself, not here yet, or lost
    bool came = false;
    bool refused = false;      ///< rank 0's port is closed
    Clock::time_point lost{};  ///< since when there is no connection any more
    ProcessIdentity process{};
    std::string host{}, device{}, phase{};
    std::int64_t step = 0;
    std::uint64_t advances = 0;
    bool waiting = false;
    bool left = false;  ///< said goodbye
    Clock::time_point last_heard{}, last_advance{};
  };

  bool connect(Clock::time_point until);
  bool enter_by(const Door& door, std::chrono::milliseconds limit);
  void come_back(Clock::time_point now);
  void seat(Peer& peer, SealedChannel channel, Clock::time_point now);
  void start();
  void run();
  void wait(Clock::time_point until);
  void admit(Clock::time_point now);
  void read(Peer& peer, Clock::time_point now);
  void heed(Peer& peer, const Message& message, Clock::time_point now);
  void notice_own_progress(Clock::time_point now);
  void take_report(Clock::time_point now);
  void take_limits(Clock::time_point now);
  void excuse_silence(Clock::time_point now);
  void notice_wish_to_leave(Clock::time_point now);
  bool may_leave() const;
  void send_to_all(const Message& message);
  void judge_peers(Clock::time_point now);
  void judge_progress(Clock::time_point now);
  void suspect(const Failure& failure, Clock::time_point until);
  void conclude(const Failure& failure, bool first_hand);
  Failure failure_of(const Peer& peer, std::string reason) const;
  Message message_of_self(Message::Kind kind) const;
  bool is_hub() const { return rank_ == 0; }

  const int rank_, size_;
  const std::string host_;
  const Activity& activity_;
  const Verdict verdict_;
  const ProcessIdentity process_ = own_process();

  // The thread's own, once it runs.
  HeartbeatLimits limits_;
  Clock::duration interval_;
  Clock::time_point next_beat_{};
  Clock::time_point woke_{};  ///< this rank itself was stopped until then
  bool leaving_ = false;
  std::optional<Gate> gate_;  ///< rank 0's
  MeetingPoint point_{};
  Door door_{};                   ///< of rank 0, which this rank came in by
  Clock::time_point next_try_{};  ///< to come back
  std::vector<Peer> peers_;       ///< of rank 0: all ranks, itself included; of any other: rank 0
  std::optional<Failure> suspected_;
  Clock::time_point suspected_until_;
  bool concluded_ = false;

  // Between the threads.
  FileDescriptor wake_;
  mutable std::mutex mutex_;
  bool finishing_ = false;
  std::string device_;
  std::optional<Report> report_;
  std::optional<HeartbeatLimits> new_limits_;
  std::atomic<int> missing_;  ///< ranks that rank 0 still waits for
  std::promise<void> complete_;
  std::thread thread_;
};

}  // namespace convoy
