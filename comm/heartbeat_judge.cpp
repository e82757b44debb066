// Whom a rank holds to be dead, stopped or stuck.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "comm/heartbeat.h"

namespace convoy {
namespace {

using namespace std::chrono_literals;

constexpr auto patience_with_lost = 5s;   // a rank of another host: until it is back
constexpr auto moment_after_waking = 2s;  // of a rank that was stopped: the others have judged meanwhile

}  // namespace

void Heartbeat::judge_peers(Clock::time_point now) {
  for (const Peer& peer : peers_) {
    if (concluded_ || !peer.came || peer.left) continue;
    if (!peer.channel && !(leaving_ && !is_hub())) {              // whoever says goodbye lets rank 0 go
      if (suspected_ && suspected_->rank == peer.rank) continue;  // it said why, and went
      const ProcessState state = state_of(peer.process);
      if (peer.refused || state == ProcessState::gone)
        return conclude(failure_of(peer, "its connection ended without a goodbye: killed or crashed"), true);
      if (state == ProcessState::unknown && now - peer.lost >= patience_with_lost) {
        return conclude(failure_of(peer,
                                   "its connection ended without a goodbye and it did not come back: "
                                   "killed, crashed or cut off"),
                        true);
      }
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

/// On rank 0: of ranks that no longer progress, the one that does not wait for others holds the others up.
void Heartbeat::judge_progress(Clock::time_point now) {
  if (limits_.step.count() == 0) return;
  const auto stands_still = [&](const Peer& peer, Seconds limit) {
    return !peer.left && (peer.came || peer.rank == rank_) && now - peer.last_advance >= limit;
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
  if (is_hub()) send_to_all(to_message(failure));
  verdict_(failure, first_hand && Clock::now() - woke_ > moment_after_waking);
}

Failure Heartbeat::failure_of(const Peer& peer, std::string reason) const {
  Failure failure;
  failure.rank = peer.rank;
  failure.host = peer.host;
  failure.process = peer.process;
  failure.device = peer.device;
  failure.phase = peer.phase;
  failure.step = peer.step;
  failure.reason = std::move(reason);
  failure.witness = rank_;
  return failure;
}

}  // namespace convoy
