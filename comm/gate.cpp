#include "comm/gate.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace convoy {
namespace {

using namespace std::chrono_literals;

constexpr auto time_to_prove = 2s;
constexpr auto rest_without_descriptors = 100ms;
constexpr int most_at_once = 1000;  // connections that one call takes, so that beats are not late

/// All ranks may come at the same moment; but strangers leave the process most of its descriptors.
std::size_t places_for_strangers(int size) {
  rlimit limit{};
  const bool known = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  const std::size_t wanted = std::max<std::size_t>(32, 2 * static_cast<std::size_t>(size));
  return known ? std::clamp<std::size_t>(limit.rlim_cur / 4, 4, wanted) : wanted;
}

}  // namespace

Gate::Gate(const Key& key, int size, bool one_host)
    : key_(key), size_(size), most_strangers_(places_for_strangers(size)) {
  const OwnAddresses own = own_addresses();
  const bool at_loopback = one_host || own.outside.empty();
  for (const std::string& address : at_loopback ? own.loopback : own.outside) {
    if (doors_.size() == std::tuple_size_v<decltype(MeetingPoint::doors)>) break;
    if (auto listener = listen_at(address)) doors_.push_back({std::move(*listener)});
    if (at_loopback && !doors_.empty()) break;  // one is enough
  }
  if (doors_.empty())
    fail("cannot listen for the other ranks at any address of this host: {}", std::strerror(errno));
}

std::vector<Door> Gate::doors() const {
  std::vector<Door> doors;
  for (const Doorway& door : doors_) {
    doors.emplace_back();
    doors.back().address = door.listener.address;
    doors.back().port = door.listener.port;
  }
  return doors;
}

std::vector<Gate::Arrival> Gate::admit(Clock::time_point now) {
  for (std::size_t door = 0; door < doors_.size() && now >= rest_until_; ++door) take_connections(door, now);
  for (Stranger& stranger : strangers_) hear(stranger);
  std::erase_if(strangers_, [&](const Stranger& stranger) {
    return stranger.channel.ended() || now - stranger.since >= time_to_prove;
  });
  return std::exchange(arrivals_, {});
}

void Gate::take_connections(std::size_t door, Clock::time_point now) {
  if (!doors_[door].listener.socket) return;
  for (int taken = 0; taken < most_at_once; ++taken) {
    FileDescriptor connection;
    switch (accept_from(doors_[door].listener, connection)) {
      case Accepted::none_waits:
        return;
      case Accepted::no_descriptor_is_free:
        if (make_room()) continue;
        rest_until_ = now + rest_without_descriptors;
        return;
      case Accepted::connection:
        break;
    }
    if (strangers_.size() >= most_strangers_) make_room();
    strangers_.push_back({Channel(std::move(connection)), door, now});
  }
}

/// Continues the handshake with the received messages. A stranger that is accepted or refused has no
/// connection left.
void Gate::hear(Stranger& stranger) {
  if (stranger.channel.ended()) return;
  stranger.channel.send_unsent();
  stranger.channel.receive();
  if (!stranger.handshake) {
    const auto hello = stranger.channel.take<Hello>();
    if (!hello) return;
    RootHandshake& handshake = stranger.handshake.emplace(key_);
    const auto challenge = handshake.challenge(*hello, size_);
    if (!challenge) return stranger.channel.close();
    stranger.channel.send(*challenge);
  }
  const auto proof = stranger.channel.take<Proof>();
  if (!proof) return;
  if (!stranger.handshake->accept(*proof)) return stranger.channel.close();
  const SessionKeys& keys = stranger.handshake->keys();
  doors_[stranger.door].used = true;
  arrivals_.push_back(
      {stranger.handshake->rank(),
       SealedChannel(std::exchange(stranger.channel, Channel::ended_one()), keys.of_root, keys.of_rank)});
}

/// Drops one stranger: the oldest that has not sent its Hello, else the oldest. Returns whether there was
/// one.
bool Gate::make_room() {
  if (strangers_.empty()) return false;
  auto found = strangers_.begin();
  for (auto each = strangers_.begin(); each != strangers_.end(); ++each) {
    hear(*each);
    if (each->handshake && !each->channel.ended()) continue;
    found = each;
    break;
  }
  strangers_.erase(found);
  return true;
}

void Gate::close_unused() {
  for (Doorway& door : doors_)
    if (!door.used) door.listener.socket.reset();
}

void Gate::watch(std::vector<pollfd>& files, Clock::time_point now) const {
  for (const Doorway& door : doors_)
    if (door.listener.socket && now >= rest_until_) files.push_back({door.listener.socket.get(), POLLIN, 0});
  for (const Stranger& stranger : strangers_) {
    const int events = POLLIN | (stranger.channel.has_unsent() ? POLLOUT : 0);
    files.push_back({stranger.channel.fd(), static_cast<short>(events), 0});
  }
}

Gate::Clock::time_point Gate::next_deadline() const {
  Clock::time_point next = Clock::time_point::max();
  if (rest_until_ > Clock::now()) next = rest_until_;
  for (const Stranger& stranger : strangers_) next = std::min(next, stranger.since + time_to_prove);
  return next;
}

Entry enter(const Door& door, const Key& key, int rank, std::chrono::milliseconds limit) {
  ConnectionAttempt attempt = connect_to(door.address.text(), door.port, limit);
  if (!attempt.socket) return {std::nullopt, attempt.refused};
  Channel channel(std::move(attempt.socket));
  RankHandshake handshake(key, rank);
  channel.send(handshake.hello());
  const auto until = Gate::Clock::now() + limit;
  std::optional<Challenge> challenge;
  while (!challenge && !channel.ended()) {
    if (!is_readable_before(channel.fd(), until)) return {};
    channel.receive();
    challenge = channel.take<Challenge>();
  }
  if (!challenge) return {};
  const std::optional<Proof> proof = handshake.answer(*challenge);
  if (!proof) return {};
  channel.send(*proof);
  return {SealedChannel(std::move(channel), handshake.keys().of_rank, handshake.keys().of_root), false};
}

}  // namespace convoy
