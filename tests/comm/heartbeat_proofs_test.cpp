// Strangers at the heartbeat's door: what they make up, overhear and send again is not heeded, and they keep
// no rank out. With CONVOY_DEEP=1 in the numbers that docs/security.md gives.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

#include "tests/comm/heartbeat_ranks.h"

namespace convoy::testing {
namespace {

bool is_deep() {
  return std::getenv("CONVOY_DEEP") != nullptr;
}

/// How much slower this machine is than a quiet one of two cores, as tests/patience.py has measured it.
double slowness() {
  const char* text = std::getenv("CONVOY_SLOWNESS");
  return text == nullptr ? 4 : std::max(1.0, std::strtod(text, nullptr));
}

template <class Value>
std::string bytes_of(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// A message as it goes over the wire.
struct Sealed {
  Message message;
  Tag tag;
};
struct Numbered {
  std::uint64_t number;
  Message message;
};
Sealed seal(const Key& key, std::uint64_t number, const Message& message) {
  return {message, tag_of(key, "message", Numbered{number, message})};
}

Message failure_of(int rank) {
  Failure failure;
  failure.rank = failure.witness = rank;
  failure.host = "nowhere";
  failure.reason = "forged";
  return to_message(failure);
}

/// A connection to rank 0 of which every byte is in the test's hands.
class Wire {
 public:
  explicit Wire(const Door& door) : channel_(connect_to(door.address.text(), door.port, 5s).socket) {}
  void send(const std::string& bytes) {
    static_cast<void>(::send(channel_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  template <class Value>
  std::optional<Value> receive() {
    const auto until = Clock::now() + 5s;
    std::optional<Value> value = channel_.take<Value>();
    while (!value && !channel_.ended() && is_readable_before(channel_.fd(), until)) {
      channel_.receive();
      value = channel_.take<Value>();
    }
    return value;
  }
  /// Whether rank 0 has closed it, or does within seconds. Whatever it says before is read and forgotten.
  bool is_shown_out() {
    while (receive<char>()) {
    }
    return channel_.ended();
  }

 private:
  Channel channel_;
};

/// Somebody with the key, for what a sniffer may have seen of a rank.
struct Session {
  Session(const MeetingPoint& point, int rank) : wire(point.doors[0]), handshake(point.key, rank) {
    sent += bytes_of(handshake.hello());
    wire.send(sent);
    const auto challenge = wire.receive<Challenge>();
    if (!challenge) return;
    proof = handshake.answer(*challenge);
    if (!proof) return;
    wire.send(bytes_of(*proof));
    sent += bytes_of(*proof);
  }
  void say(const Message& message) {
    const Sealed sealed = seal(handshake.keys().of_rank, number++, message);
    wire.send(bytes_of(sealed));
    sent += bytes_of(sealed);
  }
  Wire wire;
  RankHandshake handshake;
  std::optional<Proof> proof{};
  std::uint64_t number = 0;
  std::string sent{};  ///< all of it
};

Message beat_of(int rank) {
  Message message{};
  message.process = own_process();
  message.kind = Message::Kind::beat;
  message.rank = message.witness = rank;
  message.host = std::string("host");
  return message;
}

// Each attack returns whether rank 0 did as it should.

std::string noise(std::size_t count, std::mt19937& dice) {
  std::string text(count, '\0');
  for (char& c : text) c = static_cast<char>(dice());
  return text;
}

/// A failure in the name of rank 2, after a proof that nobody with the key has made.
bool a_made_up_proof(const MeetingPoint& point, std::mt19937& dice) {
  MeetingPoint guess = point;
  guess.key[dice() % guess.key.size()] ^= static_cast<unsigned char>(1U << (dice() % 8));
  Wire wire(point.doors[0]);
  RankHandshake handshake(guess.key, 2);
  wire.send(bytes_of(handshake.hello()));
  const auto challenge = wire.receive<Challenge>();
  if (!challenge) return false;
  wire.send(noise(sizeof(Proof), dice));
  wire.send(bytes_of(seal(guess.key, 0, failure_of(2))));
  return wire.is_shown_out();
}

/// All that a rank has said to rank 0 in a session of its own, once more.
bool an_overheard_session(const MeetingPoint& point, std::mt19937&) {
  std::string overheard;
  {
    Session session(point, 2);
    session.say(beat_of(2));
    overheard = session.sent;
  }
  Wire wire(point.doors[0]);
  wire.send(overheard);
  return wire.receive<Challenge>() && wire.is_shown_out();
}

/// A message that was on this connection before.
bool a_message_said_again(const MeetingPoint& point, std::mt19937&) {
  Session session(point, 2);
  session.say(beat_of(2));
  session.wire.send(session.sent.substr(session.sent.size() - sizeof(Sealed)));
  return session.wire.is_shown_out();
}

/// One bit of a message is another.
bool an_altered_message(const MeetingPoint& point, std::mt19937& dice) {
  Session session(point, 2);
  std::string bytes = bytes_of(seal(session.handshake.keys().of_rank, 0, failure_of(2)));
  bytes[dice() % bytes.size()] ^= static_cast<char>(1U << (dice() % 8));
  session.wire.send(bytes);
  return session.wire.is_shown_out();
}

/// One message is left out.
bool a_message_withheld(const MeetingPoint& point, std::mt19937&) {
  Session session(point, 2);
  ++session.number;
  session.say(failure_of(2));
  return session.wire.is_shown_out();
}

/// Sealed with the key of rank 0's own messages, as one that is sent back to it.
bool a_message_sent_back(const MeetingPoint& point, std::mt19937&) {
  Session session(point, 2);
  session.wire.send(bytes_of(seal(session.handshake.keys().of_root, 0, failure_of(2))));
  return session.wire.is_shown_out();
}

/// A real rank that speaks for another one: heard, and not heeded.
bool a_word_for_another(const MeetingPoint& point, std::mt19937&) {
  Session session(point, 2);
  session.say(failure_of(1));
  session.say(beat_of(2));
  return session.wire.receive<Sealed>().has_value();
}

TEST(HeartbeatProofs, NothingForgedOverheardOrRepeatedIsHeeded) {
  constexpr std::array<bool (*)(const MeetingPoint&, std::mt19937&), 7> attacks{
      a_made_up_proof,    an_overheard_session, a_message_said_again, an_altered_message,
      a_message_withheld, a_message_sent_back,  a_word_for_another};
  const int count = is_deep() ? 10'000 : 700;
  std::mt19937 dice(1);
  Group group(2, 3, {.silence = 60s, .step = 0s});
  {
    Session first(group.point, 2);
    first.say(beat_of(2));
    group.root().heartbeat().meet(group.point, 5s);
  }
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    const bool right = attacks[static_cast<std::size_t>(i) % attacks.size()](group.point, dice);
    EXPECT_TRUE(right) << "attack " << i % static_cast<int>(attacks.size());
    refused += right ? 1 : 0;
    if (group.root().has_verdict(0s)) break;
  }
  EXPECT_EQ(refused, count);
  ASSERT_FALSE(group.root().has_verdict(500ms)) << group.root().verdict().failure.reason;
  EXPECT_FALSE(group[1].has_verdict(0s));
  const MadeUpRank again(group.point, 2, own_process());  // says goodbye
}

/// Seconds until a rank is in.
double time_to_join(const MeetingPoint& point, Heartbeat& root) {
  const auto start = Clock::now();
  Member one(1, 2, patient);
  one.heartbeat().meet(point, 60s);
  root.meet(point, 60s);
  const double seconds = Seconds(Clock::now() - start).count();
  one.leave();
  return seconds;
}

TEST(HeartbeatProofs, AThousandIdleStrangersDelayNobody) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  Group undisturbed(1, 2, patient), group(1, 2, patient);
  const double usual = time_to_join(undisturbed.point, undisturbed.root().heartbeat());
  const Door& door = group.point.doors[0];
  std::vector<FileDescriptor> strangers;
  for (int i = 0; i < 1000; ++i) strangers.push_back(connect_to(door.address.text(), door.port, 1s).socket);
  const double disturbed = time_to_join(group.point, group.root().heartbeat());
  EXPECT_LT(disturbed - usual, 1.0 * slowness());
}

}  // namespace
}  // namespace convoy::testing
