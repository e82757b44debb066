#include "comm/heartbeat.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "src/core/error.h"
#include "src/core/signal_block.h"

namespace convoy {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr auto moment_of_doubt = 300ms;        // rank 0: whether what a rank reports has a deeper cause
constexpr auto patience_with_rank_0 = 1500ms;  // another rank: until its report is answered

/// Between two beats: short enough to tell a late one from a lost one.
std::chrono::steady_clock::duration interval_for(const HeartbeatLimits& limits) {
  Seconds interval = std::min<Seconds>(1s, limits.silence / 10);
  if (limits.step.count() > 0) interval = std::min(interval, limits.step / 10);
  return duration_cast<std::chrono::steady_clock::duration>(interval);
}

}  // namespace

Heartbeat::Heartbeat(int rank, int size, std::string host, const HeartbeatLimits& limits,
                     const Activity& activity, Verdict verdict)
    : rank_(rank),
      size_(size),
      host_(std::move(host)),
      limits_(limits),
      interval_(interval_for(limits)),
      activity_(activity),
      verdict_(std::move(verdict)),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      missing_(size - 1) {
  if (!wake_) fail("eventfd: {}", std::strerror(errno));
}

Heartbeat::~Heartbeat() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

MeetingPoint Heartbeat::open() {
  std::random_device random;
  MeetingPoint point{};
  token_ = point.token = (std::uint64_t{random()} << 32) | random();
  listener_ = listen_anywhere();
  point.port = listener_.port;
  point.host = host_;
  std::vector<std::string> addresses = own_addresses();
  addresses.resize(std::min(addresses.size(), point.addresses.size()));
  std::copy(addresses.begin(), addresses.end(), point.addresses.begin());
  for (int rank = 0; rank < size_; ++rank) peers_.push_back({.rank = rank});
  peers_[0].host = host_;
  start();
  return point;
}

void Heartbeat::meet(const MeetingPoint& point, Seconds limit) {
  if (is_hub()) {
    if (complete_.get_future().wait_for(limit) == std::future_status::ready) return;
    fail("{} of {} ranks could not connect to rank 0 on host {} (TCP port {}) within {:.0f} s",
         missing_.load(), size_, host_, point.port, limit.count());
  }
  token_ = point.token;
  auto channel = connect(point, Clock::now() + duration_cast<Clock::duration>(limit));
  if (!channel) {
    fail(
        "cannot connect from host {} to rank 0 on host {} (TCP port {}) within {:.0f} s: does a firewall "
        "stand between them?",
        host_, point.host.text(), point.port, limit.count());
  }
  peers_.push_back({.rank = 0, .channel = std::move(channel), .host = point.host.text()});
  start();
}

/// Tries the addresses one after the other, again and again: some may lead nowhere, or to another host's
/// port.
std::optional<Channel<Heartbeat::Message>> Heartbeat::connect(const MeetingPoint& point,
                                                              Clock::time_point until) {
  std::vector<std::string> addresses;
  for (const auto& address : point.addresses) {
    if (!address.text().empty()) addresses.push_back(address.text());
  }
  if (point.host.text() == host_) std::reverse(addresses.begin(), addresses.end());  // loopback first
  for (bool first = true; first || Clock::now() < until; first = false) {
    if (!first) std::this_thread::sleep_for(50ms);
    for (const std::string& address : addresses) {
      Channel<Message> channel(connect_to(address, point.port, 1s));
      if (channel.fd() < 0) continue;
      channel.send(message_of_self(Message::Kind::hello));
      pollfd answer{channel.fd(), POLLIN, 0};
      if (::poll(&answer, 1, 1000) != 1) continue;
      channel.receive();
      const std::optional<Message> message = channel.take();
      if (message && message->token == token_) return channel;
    }
  }
  return std::nullopt;
}

void Heartbeat::set_device(const std::string& name) {
  const std::lock_guard lock(mutex_);
  device_ = name;
}

void Heartbeat::report(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    report_ = reason.empty() ? "no reason given" : reason;
  }
  ::eventfd_write(wake_.get(), 1);
}

void Heartbeat::start() {
  const SignalBlock block;
  thread_ = std::thread([this] { run(); });
}

void Heartbeat::run() {
  Clock::time_point last_turn = Clock::now(), next_beat = last_turn;
  const auto excuse_silence = [&](Clock::time_point now) {
    for (Peer& peer : peers_) peer.last_heard = peer.last_advance = now;
  };
  excuse_silence(last_turn);
  while (true) {
    const Clock::time_point now = Clock::now();
    if (now - last_turn > limits_.silence / 2) excuse_silence(now);  // this rank itself was stopped
    last_turn = now;

    if (is_hub()) {
      admit(now);
      notice_own_progress(now);
    }
    for (Peer& peer : peers_) {
      if (peer.channel && !concluded_) read(peer, now);
    }
    if (!concluded_) take_report(now);
    if (!concluded_) judge_peers(now);
    if (!concluded_ && is_hub()) judge_progress(now);
    if (!concluded_ && suspected_ && now >= suspected_until_) conclude(*suspected_, true);
    if (concluded_) return;
    if (!suspected_ && wants_to_finish()) break;

    if (now >= next_beat) {
      send_to_all(message_of_self(Message::Kind::beat));
      next_beat = now + interval_;
    }
    Clock::time_point until = next_beat;
    if (suspected_) until = std::min(until, suspected_until_);
    for (const Peer& peer : peers_) {
      if (peer.channel && !peer.left)
        until = std::min(until, peer.last_heard + duration_cast<Clock::duration>(limits_.silence));
    }
    wait(until);
  }
  send_to_all(message_of_self(Message::Kind::goodbye));
}

/// Sleeps until something is to be read, sent or heeded, or `until`.
void Heartbeat::wait(Clock::time_point until) {
  std::vector<pollfd> files{{wake_.get(), POLLIN, 0}};
  if (listener_.socket) files.push_back({listener_.socket.get(), POLLIN, 0});
  const auto watch = [&](const Channel<Message>& channel) {
    const int events = POLLIN | (channel.has_unsent() ? POLLOUT : 0);
    if (!channel.ended()) files.push_back({channel.fd(), static_cast<short>(events), 0});
  };
  for (const Channel<Message>& channel : strangers_) watch(channel);
  for (const Peer& peer : peers_) {
    if (peer.channel) watch(*peer.channel);
  }
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  ::poll(files.data(), files.size(), static_cast<int>(std::max<long>(left, 0)));
  eventfd_t count = 0;
  ::eventfd_read(wake_.get(), &count);
}

/// Rank 0: whoever has the token and a place that is free becomes a peer; whoever has not is shown out.
void Heartbeat::admit(Clock::time_point now) {
  if (!listener_.socket) return;
  while (FileDescriptor socket = accept_from(listener_.socket)) strangers_.emplace_back(std::move(socket));
  for (Channel<Message>& stranger : strangers_) {
    stranger.receive();
    const std::optional<Message> hello = stranger.take();
    if (!hello) continue;  // yet
    const bool known = hello->token == token_ && hello->rank > 0 && hello->rank < size_;
    Peer* const peer = known ? &peers_[static_cast<std::size_t>(hello->rank)] : nullptr;
    Channel<Message> channel = std::move(stranger);  // without a descriptor it is dropped below
    if (peer == nullptr || peer->channel) continue;
    peer->channel.emplace(std::move(channel));
    peer->last_heard = peer->last_advance = now;
    heed(*peer, *hello, now);
    peer->channel->send(message_of_self(Message::Kind::beat));
    --missing_;
  }
  std::erase_if(strangers_, [](const Channel<Message>& c) { return c.fd() < 0 || c.ended(); });
  if (missing_ == 0) {
    listener_.socket.reset();
    strangers_.clear();
    complete_.set_value();
  }
}

void Heartbeat::read(Peer& peer, Clock::time_point now) {
  peer.channel->send_unsent();
  peer.channel->receive();
  while (!concluded_) {
    const std::optional<Message> message = peer.channel->take();
    if (!message) break;
    heed(peer, *message, now);
  }
  // Before all have come, a rank may give up a connection that is slow to answer, and try again.
  if (listener_.socket && peer.channel->ended()) {
    peer.channel.reset();
    ++missing_;
  }
}

void Heartbeat::heed(Peer& peer, const Message& message, Clock::time_point now) {
  if (message.token != token_) return;
  peer.last_heard = now;
  if (message.kind == Message::Kind::failure) {
    const Failure failure = to_failure(message);
    return is_hub() ? suspect(failure, now + moment_of_doubt) : conclude(failure, false);
  }
  if (message.kind == Message::Kind::goodbye) peer.left = true;
  peer.host = message.host.text();
  peer.device = message.device.text();
  peer.waiting = message.waiting != 0;
  if (message.advances != peer.advances) peer.last_advance = now;
  peer.advances = message.advances;
  peer.step = message.step;
}

void Heartbeat::notice_own_progress(Clock::time_point now) {
  Peer& self = peers_[0];
  if (activity_.advances() != self.advances) self.last_advance = now;
  self.advances = activity_.advances();
  self.step = activity_.step();
  self.waiting = activity_.is_waiting();
  const std::lock_guard lock(mutex_);
  self.device = device_;
}

void Heartbeat::take_report(Clock::time_point now) {
  std::string reason;
  {
    const std::lock_guard lock(mutex_);
    std::swap(reason, report_);
  }
  if (reason.empty()) return;
  Failure failure;
  failure.rank = failure.witness = rank_;
  failure.host = host_;
  failure.step = activity_.step();
  failure.reason = reason;
  {
    const std::lock_guard lock(mutex_);
    failure.device = device_;
  }
  if (is_hub()) return suspect(failure, now + moment_of_doubt);
  send_to_all(to_message(failure, token_));
  suspect(failure, peers_[0].left ? now : now + patience_with_rank_0);
}

bool Heartbeat::wants_to_finish() const {
  const std::lock_guard lock(mutex_);
  return finishing_;
}

void Heartbeat::send_to_all(const Message& message) {
  for (Peer& peer : peers_) {
    if (!peer.channel || peer.channel->ended()) continue;
    if (message.kind == Message::Kind::beat && peer.channel->has_unsent()) continue;  // enough is under way
    peer.channel->send(message);
  }
}

void Heartbeat::judge_peers(Clock::time_point now) {
  for (const Peer& peer : peers_) {
    if (concluded_ || !peer.channel || peer.left) continue;
    if (peer.channel->ended()) {
      if (suspected_ && suspected_->rank == peer.rank) continue;  // it said why, and went
      return conclude(failure_of(peer, "its connection ended without a goodbye: killed or crashed"), true);
    }
    if (now - peer.last_heard >= limits_.silence) {
      return conclude(
          failure_of(peer, fmt::format("no sign of life for {:.3g} s (distributed.timeout): stopped "
                                       "or cut off",
                                       limits_.silence.count())),
          true);
    }
  }
}

/// Rank 0: of ranks that no longer move on, the one that waits for nobody holds up the others.
void Heartbeat::judge_progress(Clock::time_point now) {
  if (limits_.step.count() == 0) return;
  const auto stands_still = [&](const Peer& peer, Seconds limit) {
    return !peer.left && (peer.channel || peer.rank == rank_) && now - peer.last_advance >= limit;
  };
  if (std::none_of(peers_.begin(), peers_.end(),
                   [&](const Peer& p) { return stands_still(p, limits_.step); }))
    return;
  const Peer* culprit = nullptr;
  for (const Peer& peer : peers_) {
    if (!stands_still(peer, limits_.step / 2)) continue;
    if (culprit == nullptr || std::pair(peer.waiting, peer.step) < std::pair(culprit->waiting, culprit->step))
      culprit = &peer;
  }
  conclude(failure_of(*culprit, fmt::format("{} for {:.3g} s (distributed.step_timeout)",
                                            culprit->waiting ? "like all others, waits for a collective"
                                                             : "has not moved on",
                                            limits_.step.count())),
           true);
}

/// The first suspicion counts.
void Heartbeat::suspect(const Failure& failure, Clock::time_point until) {
  if (suspected_) return;
  suspected_ = failure;
  suspected_until_ = until;
}

void Heartbeat::conclude(const Failure& failure, bool first_hand) {
  concluded_ = true;
  if (is_hub()) send_to_all(to_message(failure, token_));
  verdict_(failure, first_hand);
}

Failure Heartbeat::failure_of(const Peer& peer, std::string reason) const {
  Failure failure;
  failure.rank = peer.rank;
  failure.host = peer.host;
  failure.device = peer.device;
  failure.step = peer.step;
  failure.reason = std::move(reason);
  failure.witness = rank_;
  return failure;
}

Heartbeat::Message Heartbeat::message_of_self(Message::Kind kind) const {
  Message message{};
  message.token = token_;
  message.kind = kind;
  message.rank = message.witness = rank_;
  message.step = activity_.step();
  message.advances = activity_.advances();
  message.waiting = activity_.is_waiting() ? 1 : 0;
  message.host = host_;
  const std::lock_guard lock(mutex_);
  message.device = device_;
  return message;
}

}  // namespace convoy
