// The ranks of a run on this host, found through the operating system: usable before ranks can communicate.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace convoy {

struct LocalRank {
  std::int64_t pid = 0;
  std::optional<int> rank;  ///< none where the launcher has not told it yet
  bool stopped = false;     ///< by a signal or a debugger
};

/// Finds processes that the same launcher started: those that run this program for the same job or under the
/// same parent, and those that the parent has forked and that run nothing yet.
class LocalRanks {
 public:
  LocalRanks();
  /// As they are now, without this process. Nothing where there is no /proc.
  std::vector<LocalRank> others();

 private:
  /// What a launcher gives to each process of a job, and to those of no other one; and the process's rank.
  struct Kinship {
    std::vector<std::string> job;
    std::optional<int> rank;
    std::string program;
    std::int64_t parent = 0;
  };
  bool is_kin(const Kinship& other) const;
  static Kinship kinship_of(std::int64_t pid);

  const Kinship own_;
  const std::string launcher_;        ///< the parent's program
  std::set<std::int64_t> strangers_;  ///< looked at before
};

}  // namespace convoy
