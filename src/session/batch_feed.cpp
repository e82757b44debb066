#include "src/session/batch_feed.h"

#include <utility>

namespace convoy {
namespace {

/// One buffer for each upload under way, one for the next upload, and one that threads fill.
constexpr int buffer_count = staging_slots + 2;

std::vector<std::uint8_t*> allocate(Engine& engine, std::int64_t bytes) {
  std::vector<std::uint8_t*> buffers;
  for (int i = 0; i < buffer_count; ++i)
    buffers.push_back(engine.staging_memory(static_cast<std::size_t>(bytes)));
  return buffers;
}

}  // namespace

BatchFeed::BatchFeed(const Dataset& dataset, Engine& engine, const Tensor& images, int threads)
    : engine_(engine),
      images_(images),
      pixels_(dataset.image.count()),
      buffers_(allocate(engine, images.count / staging_slots)),
      prefetcher_(dataset, buffers_, threads) {}

void BatchFeed::start(std::vector<std::vector<std::int32_t>> batches, const Occasion& occasion) {
  engine_.synchronize();  // threads may write to every buffer from here on
  uploading_ = 0;
  prefetcher_.start(std::move(batches), occasion);
}

int BatchFeed::next(std::int64_t count) {
  const int slot = std::exchange(slot_, (slot_ + 1) % staging_slots);
  const int buffer = prefetcher_.acquire();
  engine_.upload(slot, slice(images_, slot * (images_.count / staging_slots), count * pixels_),
                 buffers_[static_cast<std::size_t>(buffer)]);
  // The previous upload to this slot has finished: its buffer, the oldest in use, goes back to the threads.
  if (uploading_ == staging_slots)
    prefetcher_.release();
  else
    ++uploading_;
  return slot;
}

}  // namespace convoy
