// What rank 0 hears at the heartbeat's door. An input is a byte that says how far its sender is trusted, and
// the bytes that come over the connection: of a stranger as they are; of a rank, whose handshake is done, as
// they are or with their tags made right first.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "comm/failure_record.h"
#include "comm/handshake.h"
#include "core/printable.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

namespace {

constexpr Key key{1, 2, 3};
constexpr int size = 8;

/// The two ends of a connection.
struct Wire {
  Wire() {
    std::array<int, 2> ends{};
    fuzz::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0, "no sockets");
    sender = FileDescriptor(ends[0]);
    receiver.emplace(FileDescriptor(ends[1]));
  }
  /// Whatever fits.
  void send(const void* bytes, std::size_t count) const {
    static_cast<void>(::send(sender.get(), bytes, count, MSG_NOSIGNAL));
  }
  FileDescriptor sender;
  std::optional<Channel> receiver;
};

void hear_stranger(fuzz::Bytes bytes) {
  Wire wire;
  wire.send(bytes.data(), bytes.size());
  wire.receiver->receive();
  const auto hello = wire.receiver->take<Hello>();
  if (!hello) return;
  RootHandshake handshake(key);
  if (!handshake.challenge(*hello, size)) return;
  fuzz::require(handshake.rank() > 0 && handshake.rank() < size,
                "a stranger says hello as a rank that there is");
  const auto proof = wire.receiver->take<Proof>();
  if (proof) fuzz::require(!handshake.accept(*proof), "nobody proves to have the key by chance");
}

/// Whatever a rank says can be printed and recorded.
void heed(const HeartbeatMessage& message) {
  const Failure failure = to_failure(message);
  fuzz::require(failure.code != ExitCode::done, "a failure has a code");
  const std::string line = printable_lines(describe(failure));
  const auto steers = [](unsigned char c) { return (c < ' ' && c != '\n') || c == 0x7f; };
  fuzz::require(std::none_of(line.begin(), line.end(), steers), "what is printed does not steer a terminal");
  const HeartbeatMessage again = to_message(failure);
  fuzz::require(describe(to_failure(again)) == describe(failure), "a failure is told on as it was heard");
  static const fuzz::Folder folder;
  const std::filesystem::path path = folder.path() / "failure.json";
  fuzz::require(write_failure_record(path, failure) == RecordOutcome::written, "a failure can be recorded");
  std::filesystem::remove(path);
}

void hear_rank(fuzz::Bytes bytes, bool sealed) {
  RankHandshake rank(key, 1);
  RootHandshake root(key);
  const auto challenge = root.challenge(rank.hello(), size);
  const auto proof = challenge ? rank.answer(*challenge) : std::nullopt;
  fuzz::require(proof && root.accept(*proof), "a rank gets in");
  Wire wire;
  SealedChannel heard(std::move(*wire.receiver), root.keys().of_root, root.keys().of_rank);
  if (!sealed) {
    wire.send(bytes.data(), bytes.size());
    heard.receive();
    fuzz::require(!heard.take(), "a message without a right tag is not heard");
    return;
  }
  SealedChannel speaking(Channel(std::move(wire.sender)), rank.keys().of_rank, rank.keys().of_root);
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), sizeof(HeartbeatMessage)))) {
    HeartbeatMessage said{};
    std::memcpy(static_cast<void*>(&said), bytes.data(), std::min(bytes.size(), sizeof said));
    speaking.send(said);
    heard.receive();
    const auto message = heard.take();
    fuzz::require(message.has_value(), "what a rank says is heard");
    heed(*message);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t count) {
  if (count == 0) return 0;
  const fuzz::Bytes bytes(data + 1, count - 1);
  if (data[0] % 3 == 0) hear_stranger(bytes);
  if (data[0] % 3 == 1) hear_rank(bytes, false);
  if (data[0] % 3 == 2) hear_rank(bytes, true);
  return 0;
}
