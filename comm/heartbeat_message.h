// What ranks say to each other besides training: one message of one size.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "comm/failure_record.h"

namespace convoy {

/// A text that is cut off where it does not fit.
template <std::size_t n>
class ShortText {
 public:
  void operator=(const std::string& text) {
    bytes_.fill('\0');
    text.copy(bytes_.data(), n - 1);
  }
  /// Whatever came over the wire, it ends here.
  std::string text() const { return {bytes_.data(), ::strnlen(bytes_.data(), n)}; }

 private:
  std::array<char, n> bytes_;
};

/// Plain bytes. All hosts of a run have the same byte order, which MPI's bytes take for granted, too.
struct HeartbeatMessage {
  enum class Kind : std::uint8_t { hello, beat, failure, goodbye };
  std::uint64_t token;  ///< proves that the sender belongs to this run
  std::int64_t step;
  std::uint64_t advances;
  std::int64_t time;  ///< of a failure: seconds since 1970
  std::int32_t rank;  ///< whom it is about
  std::int32_t witness;
  Kind kind;
  std::uint8_t waiting;
  ShortText<62> host;
  ShortText<96> device;
  ShortText<608> reason;
};

inline HeartbeatMessage to_message(const Failure& failure, std::uint64_t token) {
  HeartbeatMessage message{};
  message.token = token;
  message.kind = HeartbeatMessage::Kind::failure;
  message.rank = failure.rank;
  message.witness = failure.witness;
  message.step = failure.step;
  message.time = std::chrono::system_clock::to_time_t(failure.time);
  message.host = failure.host;
  message.device = failure.device;
  message.reason = failure.reason;
  return message;
}

inline Failure to_failure(const HeartbeatMessage& message) {
  Failure failure;
  failure.rank = message.rank;
  failure.host = message.host.text();
  failure.device = message.device.text();
  failure.step = message.step;
  failure.reason = message.reason.text();
  failure.witness = message.witness;
  failure.time = std::chrono::system_clock::from_time_t(message.time);
  return failure;
}

/// What the other ranks need to find rank 0; plain bytes, to be broadcast.
struct MeetingPoint {
  std::uint64_t token;
  std::uint16_t port;
  ShortText<64> host;
  std::array<ShortText<48>, 16> addresses;  ///< numeric, up to the first empty one
};

}  // namespace convoy
