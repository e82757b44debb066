// Ranks that watch each other, real and made-up ones, in one process.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "comm/heartbeat.h"

namespace convoy::testing {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Message = HeartbeatMessage;

inline constexpr HeartbeatLimits patient{.silence = 20s, .step = 0s};

struct Verdict {
  Failure failure;
  bool first_hand = false;
};

/// A rank as a run has it, whose verdict can be looked at.
class Member {
 public:
  Member(int rank, int size, const HeartbeatLimits& limits)
      : heartbeat_(std::make_unique<Heartbeat>(rank, size, fmt::format("host-{}", rank), limits, activity,
                                               [this](const Failure& failure, bool first_hand) {
                                                 verdict_.set_value({failure, first_hand});
                                               })),
        future_(verdict_.get_future()) {}

  Heartbeat& heartbeat() { return *heartbeat_; }
  void leave() { heartbeat_.reset(); }
  bool has_verdict(Seconds within) { return future_.wait_for(within) == std::future_status::ready; }
  /// Fails the test where there is none within some seconds.
  Verdict verdict() {
    if (has_verdict(5s)) return future_.get();
    ADD_FAILURE() << "no verdict";
    return {};
  }

  Activity activity;

 private:
  std::promise<Verdict> verdict_;
  std::unique_ptr<Heartbeat> heartbeat_;
  std::future<Verdict> future_;
};

/// Of a process that was here and has ended.
inline ProcessIdentity ended_process() {
  ProcessIdentity process = own_process();
  process.start = 1;
  return process;
}

/// Sends what it is told to, and nothing else.
class MadeUpRank {
 public:
  MadeUpRank(const MeetingPoint& point, int rank, ProcessIdentity process = ended_process())
      : rank_(rank), process_(process), channel_(enter(point.doors[0], point.key, rank, 2s).channel) {
    if (channel_) say(Message::Kind::beat);
  }
  /// One that is still there says goodbye, so that rank 0 may leave.
  ~MadeUpRank() {
    if (channel_) say(Message::Kind::goodbye);
  }
  MadeUpRank(const MadeUpRank&) = delete;
  MadeUpRank& operator=(const MadeUpRank&) = delete;
  Message message(Message::Kind kind, bool waiting = false) const {
    Message message{};
    message.process = process_;
    message.kind = kind;
    message.rank = message.witness = rank_;
    message.waiting = waiting ? 1 : 0;
    message.step = 7;
    message.host = fmt::format("host-{}", rank_);
    message.device = std::string("made up");
    return message;
  }
  void say(Message::Kind kind, bool waiting = false) { channel_->send(message(kind, waiting)); }
  void say(const Message& message) { channel_->send(message); }
  void send_bytes(const std::string& bytes) {
    EXPECT_EQ(::send(channel_->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void die() { channel_.reset(); }
  int fd() const { return channel_->fd(); }
  /// As a TCP reset on the way leaves it.
  void break_connection() { ::shutdown(channel_->fd(), SHUT_RDWR); }
  /// Whether it was let in and answered, rather than shown out.
  bool is_answered() {
    if (!channel_) return false;
    pollfd answer{channel_->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&answer, 1, 2000), 1) << "neither answered nor refused";
    channel_->receive();
    return channel_->take().has_value();
  }

 private:
  int rank_;
  ProcessIdentity process_;
  std::optional<SealedChannel> channel_;
};

/// Rank 0 that the others of a run believe in.
class MadeUpRoot {
 public:
  MadeUpRoot() : listener_(listen_at("127.0.0.1").value()) {
    point_.key = random_bytes();
    point_.host = std::string("host-0");
    point_.doors[0].address = listener_.address;
    point_.doors[0].port = listener_.port;
  }
  const MeetingPoint& point() const { return point_; }
  /// Answers the next one that comes; afterwards it is silent.
  void admit() {
    pollfd ready{listener_.socket.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 2000), 1);
    FileDescriptor socket;
    EXPECT_EQ(accept_from(listener_, socket), Accepted::connection);
    Channel channel(std::move(socket));
    RootHandshake handshake(point_.key);
    const auto hello = next<Hello>(channel);
    if (!hello) return;
    channel.send(*handshake.challenge(*hello, 100));
    const auto proof = next<Proof>(channel);
    if (!proof || !handshake.accept(*proof)) return;
    Message message{};
    message.process = ended_process();
    message.host = std::string("host-0");
    channels_.emplace_back(std::move(channel), handshake.keys().of_root, handshake.keys().of_rank);
    channels_.back().send(message);
  }
  void die() { channels_.clear(); }

 private:
  template <class Value>
  std::optional<Value> next(Channel& channel) {
    std::optional<Value> value = channel.take<Value>();
    while (!value && !channel.ended()) {
      pollfd file{channel.fd(), POLLIN, 0};
      if (::poll(&file, 1, 2000) != 1) break;
      channel.receive();
      value = channel.take<Value>();
    }
    return value;
  }
  Listener listener_;
  MeetingPoint point_{};
  std::vector<SealedChannel> channels_;
};

/// Rank 0 and the next few; places up to `size` are left for made-up ones.
class Group {
 public:
  Group(int members, int size, const HeartbeatLimits& limits) {
    for (int rank = 0; rank < members; ++rank)
      members_.push_back(std::make_unique<Member>(rank, size, limits));
    point = root().heartbeat().open(true);
    for (int rank = 1; rank < members; ++rank) (*this)[rank].heartbeat().meet(point, 5s);
    if (members == size) root().heartbeat().meet(point, 5s);
  }
  /// Rank 0 leaves last.
  ~Group() {
    while (!members_.empty()) members_.pop_back();
  }
  Member& operator[](int rank) { return *members_[static_cast<std::size_t>(rank)]; }
  Member& root() { return *members_[0]; }

  MeetingPoint point{};

 private:
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace convoy::testing
