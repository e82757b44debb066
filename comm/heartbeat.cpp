#include "comm/heartbeat.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/signal_block.h"

namespace convoy {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr auto moment_of_doubt = 300ms;        // rank 0: whether what a rank reports has a deeper cause
constexpr auto patience_with_rank_0 = 1500ms;  // another rank: until its report is answered
constexpr auto retry = 50ms;                   // between attempts to come back, and looks at who is lost

/// The time between two beats: short enough to tell a late beat from a lost one.
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
      activity_(activity),
      verdict_(std::move(verdict)),
      limits_(limits),
      interval_(interval_for(limits)),
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

MeetingPoint Heartbeat::open(bool one_host) {
  point_.key = random_bytes();
  point_.host = host_;
  gate_.emplace(point_.key, size_, one_host);
  const std::vector<Door> doors = gate_->doors();
  std::copy(doors.begin(), doors.end(), point_.doors.begin());
  for (int rank = 0; rank < size_; ++rank) peers_.push_back({.rank = rank});
  peers_[0].host = host_;
  peers_[0].process = process_;
  const MeetingPoint point = point_;
  start();
  return point;
}

void Heartbeat::meet(const MeetingPoint& point, Seconds limit) {
  if (is_hub()) {
    if (complete_.get_future().wait_for(limit) == std::future_status::ready) return;
    fail("{} of {} ranks could not connect to rank 0 on host {} (TCP port {}) within {:.0f} s",
         missing_.load(), size_, host_, point.doors[0].port, limit.count());
  }
  point_ = point;
  peers_.push_back({.rank = 0, .host = point.host.text()});
  if (!connect(Clock::now() + duration_cast<Clock::duration>(limit))) {
    fail(
        "cannot connect from host {} to rank 0 on host {} (TCP port {}) within {:.0f} s: does a firewall "
        "stand between them?",
        host_, point.host.text(), point.doors[0].port, limit.count());
  }
  start();
}

/// Tries the doors one after the other, again and again: some may lead nowhere, or to another host's port.
bool Heartbeat::connect(Clock::time_point until) {
  for (bool first = true; first || Clock::now() < until; first = false) {
    if (!first) std::this_thread::sleep_for(retry);
    for (const Door& door : point_.doors) {
      if (door.address.text().empty()) break;
      if (enter_by(door, 1s)) return true;
    }
  }
  return false;
}

/// Whether rank 0 has let this rank in and said its first word.
bool Heartbeat::enter_by(const Door& door, milliseconds limit) {
  Peer& root = peers_[0];
  Entry entry = enter(door, point_.key, rank_, limit);
  root.refused = entry.refused;
  if (!entry.channel) return false;
  entry.channel->send(message_of_self(Message::Kind::beat));
  const Clock::time_point until = Clock::now() + limit;
  while (!entry.channel->ended()) {
    if (const std::optional<Message> answer = entry.channel->take()) {
      door_ = door;
      seat(root, std::move(*entry.channel), Clock::now());
      heed(root, *answer, root.last_heard);
      return true;
    }
    if (!is_readable_before(entry.channel->fd(), until)) return false;
    entry.channel->receive();
  }
  return false;
}

void Heartbeat::come_back(Clock::time_point now) {
  if (peers_[0].channel || peers_[0].left || now < next_try_) return;
  if (enter_by(door_, 300ms)) {
    next_beat_ = now;
    if (suspected_) peers_[0].channel->send(to_message(*suspected_));
  }
  next_try_ = Clock::now() + retry;
}

void Heartbeat::seat(Peer& peer, SealedChannel channel, Clock::time_point now) {
  peer.channel.emplace(std::move(channel));
  peer.last_heard = now;
  if (!peer.came) peer.last_advance = now;
  peer.came = true;
}

void Heartbeat::set_device(const std::string& name) {
  const std::lock_guard lock(mutex_);
  device_ = name;
}

void Heartbeat::set_limits(const HeartbeatLimits& limits) {
  {
    const std::lock_guard lock(mutex_);
    new_limits_ = limits;
  }
  ::eventfd_write(wake_.get(), 1);
}

void Heartbeat::report(const std::string& reason, ExitCode code) {
  {
    const std::lock_guard lock(mutex_);
    report_ = {reason, code};
  }
  ::eventfd_write(wake_.get(), 1);
}

void Heartbeat::start() {
  const SignalBlock block;
  thread_ = std::thread([this] { run(); });
}

void Heartbeat::run() {
  Clock::time_point last_turn = next_beat_ = Clock::now();
  excuse_silence(last_turn);
  while (true) {
    const Clock::time_point now = Clock::now();
    if (now - last_turn > limits_.silence / 2) {  // this rank itself was stopped
      excuse_silence(now);
      woke_ = now;
    }
    last_turn = now;

    take_limits(now);
    if (is_hub()) {
      admit(now);
      notice_own_progress(now);
    } else {
      come_back(now);
    }
    for (Peer& peer : peers_) {
      if (peer.channel && !concluded_) read(peer, now);
    }
    if (!concluded_) take_report(now);
    if (!concluded_) judge_peers(now);
    if (!concluded_ && is_hub()) judge_progress(now);
    if (!concluded_ && suspected_ && now >= suspected_until_) conclude(*suspected_, true);
    if (concluded_) return;
    notice_wish_to_leave(now);
    if (leaving_ && may_leave()) return;

    if (now >= next_beat_) {
      const bool goodbye = leaving_ && !is_hub();
      send_to_all(message_of_self(goodbye ? Message::Kind::goodbye : Message::Kind::beat));
      next_beat_ = now + interval_;
    }
    Clock::time_point until = next_beat_;
    if (suspected_) until = std::min(until, suspected_until_);
    for (const Peer& peer : peers_) {
      if (peer.came && !peer.channel && !peer.left) until = std::min(until, now + retry);
      if (peer.came && !peer.left)
        until = std::min(until, peer.last_heard + duration_cast<Clock::duration>(limits_.silence));
    }
    wait(until);
  }
}

void Heartbeat::take_limits(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (!new_limits_) return;
  limits_ = *std::exchange(new_limits_, std::nullopt);
  interval_ = interval_for(limits_);
  next_beat_ = now;
  excuse_silence(now);
}

void Heartbeat::excuse_silence(Clock::time_point now) {
  for (Peer& peer : peers_) peer.last_heard = peer.last_advance = now;
}

void Heartbeat::notice_wish_to_leave(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (leaving_ || !finishing_ || suspected_) return;
  leaving_ = true;
  next_beat_ = now;
}

/// Rank 0 stays until the others have left, any other until rank 0 knows that it leaves, or has gone itself.
bool Heartbeat::may_leave() const {
  if (is_hub()) {
    return std::all_of(peers_.begin(), peers_.end(),
                       [&](const Peer& peer) { return peer.rank == rank_ || !peer.came || peer.left; });
  }
  const Peer& root = peers_[0];
  return root.left || (!root.channel && (root.refused || state_of(root.process) == ProcessState::gone));
}

/// Sleeps until there is something to read, send or handle, or until `until`.
void Heartbeat::wait(Clock::time_point until) {
  std::vector<pollfd> files{{wake_.get(), POLLIN, 0}};
  if (gate_) {
    gate_->watch(files, Clock::now());
    until = std::min(until, gate_->next_deadline());
  }
  for (const Peer& peer : peers_) {
    if (!peer.channel || peer.channel->ended()) continue;
    const int events = POLLIN | (peer.channel->has_unsent() ? POLLOUT : 0);
    files.push_back({peer.channel->fd(), static_cast<short>(events), 0});
  }
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  ::poll(files.data(), files.size(), static_cast<int>(std::max<long>(left, 0)));
  eventfd_t count = 0;
  ::eventfd_read(wake_.get(), &count);
}

/// Rank 0: whoever has proved to be a rank gets its place, also one that lost its connection.
void Heartbeat::admit(Clock::time_point now) {
  for (Gate::Arrival& arrival : gate_->admit(now)) {
    Peer& peer = peers_[static_cast<std::size_t>(arrival.rank)];
    const bool first = !peer.came;
    seat(peer, std::move(arrival.channel), now);
    peer.channel->send(message_of_self(Message::Kind::beat));
    if (!first || --missing_ > 0) continue;
    gate_->close_unused();
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
  if (!peer.channel->ended()) return;
  peer.channel.reset();
  peer.lost = now;
}

void Heartbeat::heed(Peer& peer, const Message& message, Clock::time_point now) {
  // A rank reports its own state alone; rank 0 reports that of all ranks.
  const auto is_rank = [&](int rank) { return rank >= 0 && rank < size_; };
  const bool of_itself = message.rank == peer.rank && message.witness == peer.rank;
  const bool told = !is_hub() && message.kind == Message::Kind::failure;
  if (!of_itself && !(told && is_rank(message.rank) && is_rank(message.witness))) return;
  peer.last_heard = now;
  if (message.kind == Message::Kind::failure) {
    const Failure failure = to_failure(message);
    return is_hub() ? suspect(failure, now + moment_of_doubt) : conclude(failure, false);
  }
  if (message.kind == Message::Kind::goodbye) {
    peer.left = true;
    if (is_hub()) peer.channel->send(message_of_self(Message::Kind::goodbye));
  }
  peer.process = message.process;
  peer.host = message.host.text();
  peer.phase = message.phase.text();
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
  self.phase = activity_.doing();
  self.waiting = activity_.is_waiting();
  const std::lock_guard lock(mutex_);
  self.device = device_;
}

void Heartbeat::take_report(Clock::time_point now) {
  std::optional<Report> report;
  {
    const std::lock_guard lock(mutex_);
    report_.swap(report);
  }
  if (!report) return;
  Failure failure;
  failure.rank = failure.witness = rank_;
  failure.host = host_;
  failure.phase = activity_.doing();
  failure.step = activity_.step();
  failure.process = process_;
  failure.reason = report->reason.empty() ? "no reason given" : report->reason;
  failure.code = report->code;
  {
    const std::lock_guard lock(mutex_);
    failure.device = device_;
  }
  if (is_hub()) return suspect(failure, now + moment_of_doubt);
  send_to_all(to_message(failure));
  suspect(failure, peers_[0].left ? now : now + patience_with_rank_0);
}

void Heartbeat::send_to_all(const Message& message) {
  for (Peer& peer : peers_) {
    if (!peer.channel || peer.channel->ended()) continue;
    if (message.kind == Message::Kind::beat && peer.channel->has_unsent()) continue;  // enough is under way
    peer.channel->send(message);
  }
}

Heartbeat::Message Heartbeat::message_of_self(Message::Kind kind) const {
  Message message{};
  message.process = process_;
  message.kind = kind;
  message.rank = message.witness = rank_;
  message.step = activity_.step();
  message.advances = activity_.advances();
  message.waiting = activity_.is_waiting() ? 1 : 0;
  message.host = host_;
  message.phase = std::string(activity_.doing());
  const std::lock_guard lock(mutex_);
  message.device = device_;
  return message;
}

}  // namespace convoy
