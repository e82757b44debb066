#include "src/bench/data_bench.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "comm/agree.h"
#include "comm/cores.h"
#include "src/bench/bench_session.h"
#include "src/bench/figures.h"
#include "src/data/epoch_order.h"
#include "src/data/prefetch.h"
#include "src/session/rank_checks.h"

namespace convoy {
namespace {

/// This rank's batches of a shuffled epoch.
std::vector<std::vector<std::int32_t>> batches_of_rank(const Dataset& data, const Config& config, int epoch,
                                                       const RankEnvironment& ranks) {
  const std::vector<std::int32_t> order = training_order(data, config.data.balance, config.seed, epoch);
  std::vector<std::vector<std::int32_t>> batches;
  for (const Range& batch : batches_of(static_cast<int>(order.size()), config.train.global_batch, false)) {
    const Shard shard = shard_of(batch.count, ranks.rank(), ranks.size());
    const auto begin = order.begin() + batch.first + shard.first;
    batches.emplace_back(begin, begin + shard.count);
  }
  return batches;
}

}  // namespace

DataFigures bench_data(const Config& config, const RankEnvironment& ranks, double seconds, int threads) {
  Dataset data;
  agree(ranks, [&] { data = load_dataset(config.data, config.seed); });
  require_same_data(data, ranks);

  DataFigures figures;
  // Here the main thread has nothing to do.
  figures.threads = threads > 0 ? threads : std::min<int>(spare_cores(ranks) + 1, std::ssize(bound_cores()));
  figures.image_bytes = data.image.count();
  const int rows = shard_of(config.train.global_batch, 0, ranks.size()).count;
  std::vector<std::vector<std::uint8_t>> memory(
      4, std::vector<std::uint8_t>(static_cast<std::size_t>(rows * figures.image_bytes)));
  std::vector<std::uint8_t*> slots;
  for (std::vector<std::uint8_t>& slot : memory) slots.push_back(slot.data());
  Prefetcher prefetcher(data, slots, figures.threads);

  // An epoch is cut into rounds by its batches, which all ranks count alike.
  int epoch = 1;
  std::size_t next = 0, batches = 0;
  std::vector<std::vector<std::int32_t>> sequence;
  const auto run = [&](std::size_t count) {
    std::int64_t images = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (next == sequence.size()) {
        sequence = batches_of_rank(data, config, epoch, ranks);
        prefetcher.start(sequence, {true, epoch++});
        next = 0;
      }
      prefetcher.acquire();
      prefetcher.release();
      ranks.activity().advance();
      images += std::ssize(sequence[next++]);
    }
    return images;
  };
  const auto round = [&](std::size_t count) {
    ranks.max(0);  // nobody starts before everybody is here
    const auto start = std::chrono::steady_clock::now();
    std::array<double, 1> images{static_cast<double>(run(count))};
    const double time = slowest(ranks, since(start));
    ranks.sum(images);
    figures.images += static_cast<std::int64_t>(images[0]);
    return std::pair(images[0] / time, time);
  };
  batches = 1;
  double warm_up = 0;  // until a round is so long that it says how many batches a second takes
  while (warm_up < 0.5) {
    warm_up = round(batches).second;
    if (warm_up < 0.5) batches *= 2;
  }
  batches = std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(batches) / warm_up));
  figures.images = 0;
  for (double left = seconds; left > 0;) {
    const auto [rate, time] = round(batches);
    figures.rounds.push_back(rate);
    left -= time;
  }
  figures.images_per_second = median(figures.rounds);
  return figures;
}

}  // namespace convoy
