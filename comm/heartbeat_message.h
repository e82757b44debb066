// What ranks say to each other besides training: one message of one size.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "comm/authentication.h"
#include "comm/failure_record.h"
#include "comm/process_identity.h"

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
  std::string text() const { return {bytes_.data(), ::strnlen(bytes_.data(), n - 1)}; }

 private:
  std::array<char, n> bytes_;
};

/// Plain bytes without padding. All hosts of a run have the same byte order, which MPI's bytes take for
/// granted, too.
struct HeartbeatMessage {
  enum class Kind : std::uint8_t { beat, failure, goodbye };
  ProcessIdentity process;  ///< of the sender; in a failure, of the rank that it is about
  std::int64_t step;
  std::uint64_t advances;
  std::int64_t time;  ///< of a failure: seconds since 1970
  std::int32_t rank;  ///< whom it is about
  std::int32_t witness;
  Kind kind;
  std::uint8_t waiting;
  std::uint8_t code;  ///< of a failure: what the process ends with
  ShortText<61> host;
  ShortText<96> device;
  ShortText<48> phase;
  ShortText<608> reason;
};
static_assert(std::has_unique_object_representations_v<HeartbeatMessage>);

inline HeartbeatMessage to_message(const Failure& failure) {
  HeartbeatMessage message{};
  message.kind = HeartbeatMessage::Kind::failure;
  message.process = failure.process;
  message.code = static_cast<std::uint8_t>(failure.code);
  message.rank = failure.rank;
  message.witness = failure.witness;
  message.step = failure.step;
  message.time = std::chrono::system_clock::to_time_t(failure.time);
  message.host = failure.host;
  message.device = failure.device;
  message.phase = failure.phase;
  message.reason = failure.reason;
  return message;
}

inline Failure to_failure(const HeartbeatMessage& message) {
  Failure failure;
  failure.process = message.process;
  for (const ExitCode code : {ExitCode::usage, ExitCode::stopped})
    if (message.code == static_cast<std::uint8_t>(code)) failure.code = code;  // anything else: failed
  failure.rank = message.rank;
  failure.host = message.host.text();
  failure.device = message.device.text();
  failure.phase = message.phase.text();
  failure.step = message.step;
  failure.reason = message.reason.text();
  failure.witness = message.witness;
  constexpr std::int64_t latest = 9'223'372'036;    // what a clock in nanoseconds can say
  if (message.time >= 0 && message.time <= latest)  // otherwise now
    failure.time = std::chrono::system_clock::from_time_t(message.time);
  return failure;
}

/// Where rank 0 listens.
struct Door {
  ShortText<48> address;  ///< numeric
  std::uint16_t port;
};

/// What the other ranks need to find rank 0; plain bytes, which MPI broadcasts.
struct MeetingPoint {
  Key key;
  ShortText<64> host;
  std::array<Door, 16> doors;  ///< up to the first one without an address
};

}  // namespace convoy
