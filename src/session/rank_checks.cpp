#include "src/session/rank_checks.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "comm/agree.h"
#include "comm/cores.h"
#include "comm/same.h"
#include "core/hash.h"
#include "src/engine/tensor_values.h"
#include "src/session/plan_set.h"

namespace convoy {
namespace {

std::string short_hash(std::uint64_t hash) {
  return fmt::format("#{:016x}", hash);
}

template <class T>
std::string hash_text(const std::vector<T>& values) {
  return fmt::format("{} values {}", values.size(), short_hash(hash_of(std::as_bytes(std::span(values)))));
}

}  // namespace

void require_same_config(const Config& config, const RankEnvironment& ranks) {
  if (ranks.size() == 1) return;
  Config elsewhere = config;
  elsewhere.data.path.clear();
  elsewhere.model.init.clear();  // rank 0 reads it
  require_same(ranks, "the configurations", short_hash(hash_of(to_yaml(elsewhere))));
}

void require_same_data(const Dataset& dataset, const RankEnvironment& ranks) {
  if (ranks.size() == 1) return;
  const std::vector<std::pair<const char*, std::string>> facts = {
      {"the data sets' classes", fmt::format("{}", dataset.classes)},
      {"the data sets' image sizes", to_string(dataset.image)},
      {"the data sets' labels", hash_text(dataset.labels)},
      {"the data sets' images", hash_text(dataset.images)},
      {"what the data sets' images are for",
       fmt::format("{} to train, {} to validate, {} to test", hash_text(dataset.train),
                   hash_text(dataset.validation), hash_text(dataset.test))},
      {"the data sets' files", short_hash(dataset.source ? dataset.source->fingerprint() : 0)}};
  std::string all;
  for (const auto& [what, value] : facts) all += value + '\n';
  if (is_same(ranks, all)) return;
  for (const auto& [what, value] : facts) require_same(ranks, what, value);
}

void require_distinct_devices(const std::vector<std::string>& uuids) {
  std::map<std::string, std::size_t> owner;
  for (std::size_t rank = 0; rank < uuids.size(); ++rank) {
    if (uuids[rank].empty()) continue;
    const auto [first, is_new] = owner.emplace(uuids[rank], rank);
    if (!is_new) {
      throw AgreedError(format_printable(
          "ranks {} and {} share the device {}: does CUDA_VISIBLE_DEVICES differ between ranks?",
          first->second, rank, uuids[rank]));
    }
  }
}

std::string map_of_ranks(const Engine& engine, const RankEnvironment& ranks) {
  const std::string uuid = engine.identity().uuid;
  const Cores cores = bound_cores();
  const std::vector<std::string> hosts = ranks.gather(ranks.host());
  const std::vector<std::string> devices =
      ranks.gather(uuid.empty() ? engine.describe() : fmt::format("{} ({})", engine.describe(), uuid));
  const std::vector<std::string> places =
      ranks.gather(cores == permitted_cores() ? fmt::format("all cores ({})", to_text(cores))
                                              : fmt::format("cores {}", to_text(cores)));
  std::string text;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
    text += fmt::format("{}rank {} on {}: {}, {}", rank == 0 ? "" : "\n", rank, printable(hosts[rank]),
                        devices[rank], places[rank]);
  }
  return text;
}

std::string shared_memory_problem(std::int64_t free_bytes, int local_ranks) {
  // A connection takes 9.2 MiB (the size in NCCL's error message), and a GPU has about four: two neighbours
  // in each of two rings or trees.
  constexpr std::int64_t per_rank = std::int64_t{40} << 20;
  if (local_ranks == 1 || free_bytes >= local_ranks * per_rank) return {};
  return fmt::format(
      "{} free in /dev/shm; NCCL may need about {} for {} GPUs of one host that cannot reach each other's "
      "memory (in a container: docker run --shm-size=1g)",
      human_bytes(free_bytes), human_bytes(local_ranks * per_rank), local_ranks);
}

double time_test_sum(Engine& engine, std::int64_t bytes, const RankEnvironment& ranks) {
  constexpr int rounds = 5;
  Plan plan;
  plan.name = "test sum";
  const Tensor values{Arena::gradients, DType::f32, 0, bytes / size_of(DType::f32)};
  plan.steps = {{AllReduce{values}, "test"}, {Join{}, "test"}};
  plan.arenas[static_cast<std::size_t>(Arena::gradients)] = bytes;
  int handle = 0;
  agree(ranks, [&] {
    engine.allocate(plan.arenas);
    handle = engine.load(plan);
  });
  const double expected = 0.5 * ranks.size() * (ranks.size() + 1);
  double fastest = 0;
  for (int round = 0; round < rounds; ++round) {
    write_values(engine, values,
                 std::vector<double>(static_cast<std::size_t>(values.count), 1.0 + ranks.rank()));
    ranks.max(0);
    const auto start = std::chrono::steady_clock::now();
    engine.run(handle, {});
    engine.synchronize();
    const std::chrono::nanoseconds mine = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(bytes) / (static_cast<double>(ranks.max(mine.count())) * 1e-9);
    fastest = std::max(fastest, rate);
    agree(ranks, [&] {
      const std::vector<double> sums = read_values(engine, values);
      const auto wrong = std::find_if(sums.begin(), sums.end(), [&](double s) { return s != expected; });
      if (wrong != sums.end()) fail("a sum over ranks came out as {} instead of {}", *wrong, expected);
    });
  }
  return fastest;
}

}  // namespace convoy
