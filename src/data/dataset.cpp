#include "src/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/random.h"
#include "src/data/data_source.h"
#include "src/data/reading.h"

namespace convoy {

namespace {

/// How many of `count` images to validate on each class gives, in proportion to what it has: by largest
/// remainders, so that each is off its share by less than one. No class gives its last image as long as
/// others can.
std::vector<std::int64_t> shares_of(const std::vector<std::int64_t>& sizes, double fraction,
                                    std::int64_t count) {
  struct Candidate {
    bool gives_last;
    double remainder;
    std::size_t label;
  };
  std::vector<std::int64_t> shares;
  std::vector<Candidate> candidates;
  for (std::size_t label = 0; label < sizes.size(); ++label) {
    const double share = fraction * static_cast<double>(sizes[label]);
    shares.push_back(static_cast<std::int64_t>(share));
    count -= shares.back();
    if (shares.back() < sizes[label])
      candidates.push_back({shares.back() + 1 == sizes[label], share - std::floor(share), label});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.gives_last != b.gives_last ? b.gives_last : a.remainder > b.remainder;
  });
  for (std::size_t i = 0; i < candidates.size() && count > 0; ++i, --count) ++shares[candidates[i].label];
  return shares;
}

}  // namespace

void split_off_validation(Dataset& data, const DataConfig& config, std::uint64_t seed) {
  const auto samples = static_cast<std::int64_t>(data.train.size());
  const std::int64_t count = validation_count(config, samples);
  if (count < 1 || count >= samples) {
    fail_usage("{}: data.validation: {} of {} training images leaves {} to validate and {} to train on",
               config.mark.text(), config.validation_fraction, samples, count, samples - count);
  }
  const auto label_of = [&](std::int32_t id) {
    return static_cast<std::size_t>(data.labels[static_cast<std::size_t>(id)]);
  };
  std::vector<std::int64_t> wanted =
      shares_of(count_classes(data, data.train), config.validation_fraction, count);
  shuffle(data.train, seed, Purpose::split, 0);
  const auto first_taken = std::stable_partition(
      data.train.begin(), data.train.end(), [&](std::int32_t id) { return wanted[label_of(id)]-- <= 0; });
  data.validation.assign(first_taken, data.train.end());
  data.train.erase(first_taken, data.train.end());
  std::sort(data.train.begin(), data.train.end());
  std::sort(data.validation.begin(), data.validation.end());
}

Dataset load_dataset(const DataConfig& config, std::uint64_t seed) {
  if (has_files(config.source) && config.path.empty()) {
    fail_usage("{}: data.path: this source needs the folder that holds its files", config.mark.text());
  }
  return data_source(config.source).load(config, seed);
}

std::vector<std::int64_t> count_classes(const Dataset& data, const std::vector<std::int32_t>& ids) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(data.classes));
  for (const std::int32_t id : ids)
    ++counts[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(id)])];
  return counts;
}

void fetch_image(const Dataset& data, std::int32_t sample, const Occasion& occasion, std::uint8_t* out) {
  const auto index = static_cast<std::size_t>(sample);
  if (sample < 0 || index >= data.labels.size())
    fail("sample {} of a data set of {}", sample, data.labels.size());
  const auto bytes = static_cast<std::size_t>(data.image.count());
  if (data.source)
    data.source->fetch(sample, occasion, out);
  else
    std::memcpy(out, data.images.data() + index * bytes, bytes);
  if (occasion.view.mirrored) mirror(data.image, out);
}

std::int64_t validation_count(const DataConfig& config, std::int64_t samples) {
  return std::llround(config.validation_fraction * static_cast<double>(samples));
}

std::vector<Range> batches_of(int samples, int global_batch, bool drop_last) {
  check(samples >= 0 && global_batch > 0, "batches of a negative number of samples, or of size zero");
  std::vector<Range> batches;
  for (int first = 0; first < samples;) {
    const int count = std::min(global_batch, samples - first);
    if (count < global_batch && drop_last) break;
    batches.push_back({first, count});
    first += count;
  }
  return batches;
}

void append_ids(std::vector<std::int32_t>& ids, std::int64_t first, std::int64_t count) {
  const std::size_t before = ids.size();
  ids.resize(before + static_cast<std::size_t>(count));
  std::iota(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end(), static_cast<std::int32_t>(first));
}

void check_folder(const std::filesystem::path& folder, const std::string& expected) {
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return;
  if (folder.string().starts_with("~/"))
    fail("data.path: {}: ~ is not expanded here; write the whole path", folder.string());
  fail("data.path: {} is not a folder that can be read (from {}); it should hold {}", folder.string(),
       std::filesystem::current_path(ignored).string(), expected);
}

void shuffle(std::vector<std::int32_t>& ids, std::uint64_t seed, Purpose purpose, std::uint32_t stream,
             std::uint64_t first) {
  for (std::size_t i = ids.size(); i > 1; --i) {
    const std::uint32_t word = random4(seed, purpose, stream, first + i).v[0];
    std::swap(ids[i - 1], ids[uniform_below(word, static_cast<std::uint32_t>(i))]);
  }
}

}  // namespace convoy
