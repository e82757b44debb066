// Noise in the shape of a data set.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <limits>

#include "core/error.h"
#include "core/thread_pool.h"
#include "src/data/data_source.h"
#include "src/data/reading.h"

namespace convoy {

namespace {

constexpr std::size_t bytes_per_draw = 16;

// Sample i draws its image from stream i and its label from a stream that no sample has.
constexpr std::uint32_t label_stream = std::numeric_limits<std::uint32_t>::max();

void draw(std::uint64_t seed, std::uint32_t sample, std::uint8_t* image, std::size_t count) {
  for (std::size_t first = 0; first < count; first += bytes_per_draw) {
    const Random4 words = random4(seed, Purpose::synthetic, sample, first / bytes_per_draw);
    const std::size_t here = std::min(bytes_per_draw, count - first);
    for (std::size_t i = 0; i < here; ++i)
      image[first + i] = static_cast<std::uint8_t>(words.v[i / 4] >> (i % 4 * 8));
  }
}

/// Bytes of noise with random labels, all uniform: of any shape and size, for speed and memory where the
/// files are not at hand. A sample is a function of seed and index.
class Synthetic final : public ResidentSource {
 public:
  Synthetic() : ResidentSource(Source::synthetic) {}

  std::vector<std::string> class_names() const override { return {}; }
  Published published() const override { return {}; }
  Match match(const std::filesystem::path&) const override { return Match::no; }
  std::string drawn_from(const DataConfig& config, std::uint64_t seed) const override {
    return fmt::format("synthetic {} {} {}", seed, fmt::join(config.synthetic.image, ","),
                       config.synthetic.classes);
  }

 protected:
  SetSizes sizes(const DataConfig& config) const override {
    const SyntheticConfig& made = config.synthetic;
    return {
        .image = feature_shape(made.image), .classes = made.classes, .train = made.train, .test = made.test};
  }

  Dataset read(const DataConfig& config, std::uint64_t seed, bool test) const override {
    const SyntheticConfig& made = config.synthetic;
    Dataset data;
    data.image = feature_shape(made.image);
    data.classes = made.classes;
    const std::int64_t samples = std::int64_t{made.train} + (test ? made.test : 0);
    const auto pixels = static_cast<std::size_t>(data.image.count());
    try {
      data.images.resize(static_cast<std::size_t>(samples) * pixels);
      data.labels.resize(static_cast<std::size_t>(samples));
    } catch (const std::exception&) {  // bad_alloc or length_error
      fail("data.synthetic: {} images {} do not fit the memory", samples, to_string(data.image));
    }
    append_ids(data.train, 0, made.train);
    if (test) append_ids(data.validation, made.train, made.test);
    ThreadPool(default_threads()).for_each(samples, [&](std::int64_t i) {
      const auto sample = static_cast<std::size_t>(i);
      const std::uint32_t word = random4(seed, Purpose::synthetic, label_stream, sample).v[0];
      data.labels[sample] =
          static_cast<std::int32_t>(uniform_below(word, static_cast<std::uint32_t>(made.classes)));
      draw(seed, static_cast<std::uint32_t>(i), data.images.data() + sample * pixels, pixels);
    });
    return data;
  }
};

}  // namespace

namespace sets {

const DataSource& synthetic() {
  static const Synthetic set;
  return set;
}

}  // namespace sets

}  // namespace convoy
