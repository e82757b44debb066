#include "src/session/replicas.h"

#include <algorithm>

#include "comm/agree.h"
#include "comm/same.h"

namespace convoy {
namespace {

/// "rank 2 (host b)", "ranks 1, 3".
std::string who(const std::vector<int>& odd, const std::vector<std::string>& hosts) {
  if (odd.size() == 1)
    return fmt::format("rank {} (host {})", odd[0], hosts[static_cast<std::size_t>(odd[0])]);
  return fmt::format("ranks {}", fmt::join(odd, ", "));
}

}  // namespace

void require_same_weights(Session& session, const RankEnvironment& ranks, const std::string& when) {
  if (ranks.size() == 1) return;
  const std::vector<NamedHash> mine = session.hash_weights();
  std::vector<std::uint64_t> of_root;
  for (const NamedHash& tensor : mine) of_root.push_back(tensor.hash);
  ranks.broadcast(of_root.data(), of_root.size() * sizeof(std::uint64_t));
  const auto tensors = static_cast<std::int64_t>(mine.size());
  std::int64_t first = 0;
  while (first < tensors &&
         mine[static_cast<std::size_t>(first)].hash == of_root[static_cast<std::size_t>(first)])
    ++first;
  first = tensors - ranks.max(tensors - first);  // the first that differs on any rank
  if (first == tensors) return;
  const NamedHash& tensor = mine[static_cast<std::size_t>(first)];
  const std::vector<std::string> hosts = ranks.gather(ranks.host());
  const std::vector<int> odd = odd_ones_out(ranks.gather(fmt::format("{:x}", tensor.hash)));
  const bool majority = 2 * odd.size() < static_cast<std::size_t>(ranks.size());
  throw AgreedError(
      format_printable(
          "{} the weights of {} are not those of {}{}: {} is the first tensor that differs. A device, memory "
          "or a connection fails, or ranks run different programs. --resume auto goes on from the last "
          "checkpoint",
          when, who(odd, hosts), majority ? "the others" : "rank 0",
          majority ? "" : " (which are right is not known)", tensor.name),
      ExitCode::failure, odd.at(0), hosts[static_cast<std::size_t>(odd.at(0))]);
}

}  // namespace convoy
