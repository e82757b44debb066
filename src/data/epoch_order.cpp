#include "src/data/epoch_order.h"

#include <algorithm>

#include "src/data/reading.h"

namespace convoy {
namespace {

/// Appends the places [first, end) of the endless sequence of a class's `ids`.
void append_part(std::vector<std::int32_t>& order, const std::vector<std::int32_t>& ids, std::uint32_t label,
                 std::int64_t first, std::int64_t end, std::uint64_t seed) {
  const std::int64_t size = std::ssize(ids);
  while (first < end) {
    const std::int64_t round = first / size, begin = first - round * size,
                       until = std::min(size, end - round * size);
    std::vector<std::int32_t> shuffled = ids;
    // Beyond the numbers that shuffle whole epochs, which end at 2^31.
    if (until - begin < size)
      shuffle(shuffled, seed, Purpose::shuffle, label, static_cast<std::uint64_t>(round + 1) << 32);
    order.insert(order.end(), shuffled.begin() + begin, shuffled.begin() + until);
    first += until - begin;
  }
}

}  // namespace

std::vector<std::int32_t> epoch_order(std::vector<std::int32_t> ids, std::uint64_t seed, int epoch) {
  shuffle(ids, seed, Purpose::shuffle, static_cast<std::uint32_t>(epoch));
  return ids;
}

std::vector<std::int32_t> balanced_order(const Dataset& data, std::uint64_t seed, int epoch) {
  std::vector<std::vector<std::int32_t>> ids(static_cast<std::size_t>(data.classes));  // of each class
  for (const std::int32_t id : data.train)
    ids[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(id)])].push_back(id);
  std::erase_if(ids, [](const auto& of_class) { return of_class.empty(); });

  // Of m places, class c of k has floor((m + c) / k): together m, and none has two more than another.
  const std::int64_t places = std::ssize(data.train), before = places * epoch, k = std::ssize(ids);
  std::vector<std::int32_t> order;
  order.reserve(data.train.size());
  for (std::int64_t c = 0; c < k; ++c)
    append_part(order, ids[static_cast<std::size_t>(c)], static_cast<std::uint32_t>(c), (before + c) / k,
                (before + places + c) / k, seed);
  return epoch_order(std::move(order), seed, epoch);
}

}  // namespace convoy
