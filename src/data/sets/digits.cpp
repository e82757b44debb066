// The built-in data set: strokes of a digit, bent, warped and drawn with an anti-aliased pen, plus noise.
//
// Work per image is what counts (70,000 of them before the first step): a segment touches only the pixels
// near it, and the rest is a few passes over 784 floats.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/thread_pool.h"
#include "src/data/data_source.h"
#include "src/data/draws.h"
#include "src/data/reading.h"

namespace convoy {

namespace {

constexpr int side = 28, pixels = side * side, classes = 10;
constexpr int train_samples = 60000, test_samples = 10000;

struct Point {
  float x, y;
};
using Stroke = std::vector<Point>;
using Glyph = std::vector<Stroke>;

// Ways to write each digit in the box [0,1]^2, y down. A stroke is a smooth curve through its points; corners
// are where two strokes meet; a stroke that ends where it began is a closed loop.
std::array<std::vector<Glyph>, classes> handwriting() {
  return {{
      {{{{.5f, 0},
         {.25f, .12f},
         {.18f, .5f},
         {.25f, .88f},
         {.5f, 1},
         {.75f, .88f},
         {.82f, .5f},
         {.75f, .12f},
         {.5f, 0}}},
       {{{.62f, .02f},
         {.3f, .2f},
         {.2f, .6f},
         {.36f, .96f},
         {.66f, .9f},
         {.8f, .5f},
         {.7f, .12f},
         {.4f, .06f}}}},

      {{{{.5f, 0}, {.5f, 1}}},
       {{{.28f, .24f}, {.52f, 0}}, {{.52f, 0}, {.52f, 1}}},
       {{{.3f, .2f}, {.5f, 0}}, {{.5f, 0}, {.5f, 1}}, {{.28f, 1}, {.72f, 1}}}},

      {{{{.2f, .25f}, {.3f, .06f}, {.5f, 0}, {.72f, .08f}, {.78f, .28f}, {.62f, .56f}, {.2f, 1}},
        {{.2f, 1}, {.82f, 1}}},
       {{{.22f, .2f},
         {.42f, .01f},
         {.7f, .08f},
         {.74f, .32f},
         {.55f, .65f},
         {.32f, .93f},
         {.18f, .9f},
         {.28f, .77f},
         {.55f, .92f},
         {.86f, .96f}}}},

      {{{{.22f, .1f}, {.5f, 0}, {.76f, .1f}, {.74f, .36f}, {.45f, .48f}},
        {{.45f, .48f}, {.76f, .58f}, {.8f, .84f}, {.55f, 1}, {.2f, .9f}}},
       {{{.22f, 0}, {.78f, 0}},
        {{.78f, 0}, {.44f, .4f}},
        {{.44f, .4f}, {.76f, .5f}, {.8f, .8f}, {.54f, 1}, {.2f, .9f}}}},

      {{{{.62f, 0}, {.15f, .66f}}, {{.15f, .66f}, {.86f, .66f}}, {{.62f, 0}, {.62f, 1}}},
       {{{.26f, .02f}, {.2f, .56f}}, {{.2f, .56f}, {.84f, .54f}}, {{.72f, .06f}, {.66f, 1}}}},

      {{{{.76f, 0}, {.28f, 0}},
        {{.28f, 0}, {.24f, .45f}},
        {{.24f, .45f}, {.52f, .38f}, {.78f, .56f}, {.76f, .84f}, {.5f, 1}, {.2f, .9f}}},
       {{{.78f, .03f}, {.4f, .02f}, {.27f, .3f}, {.55f, .46f}, {.76f, .7f}, {.56f, .97f}, {.22f, .94f}}}},

      {{{{.72f, .03f},
         {.42f, .2f},
         {.22f, .6f},
         {.32f, .92f},
         {.55f, 1},
         {.78f, .82f},
         {.7f, .58f},
         {.46f, .52f},
         {.25f, .7f}}},
       {{{.5f, 0},
         {.28f, .4f},
         {.24f, .75f},
         {.4f, .98f},
         {.66f, .96f},
         {.76f, .76f},
         {.6f, .6f},
         {.4f, .64f},
         {.27f, .82f}}}},

      {{{{.18f, 0}, {.82f, 0}}, {{.82f, 0}, {.42f, 1}}},
       {{{.18f, .02f}, {.82f, 0}}, {{.82f, 0}, {.58f, .42f}, {.46f, 1}}, {{.36f, .5f}, {.76f, .48f}}},
       {{{.2f, .16f}, {.22f, .02f}}, {{.22f, .02f}, {.8f, 0}}, {{.8f, 0}, {.6f, .4f}, {.5f, 1}}}},

      {{{{.5f, .46f}, {.27f, .34f}, {.28f, .1f}, {.5f, 0}, {.72f, .1f}, {.73f, .34f}, {.5f, .46f}},
        {{.5f, .46f}, {.22f, .62f}, {.22f, .88f}, {.5f, 1}, {.78f, .88f}, {.78f, .62f}, {.5f, .46f}}},
       {{{.76f, .12f},
         {.5f, 0},
         {.27f, .12f},
         {.34f, .36f},
         {.66f, .58f},
         {.75f, .84f},
         {.5f, 1},
         {.24f, .86f},
         {.36f, .58f},
         {.66f, .36f},
         {.76f, .12f}}}},

      {{{{.76f, .28f}, {.64f, .05f}, {.4f, .03f}, {.24f, .28f}, {.38f, .52f}, {.62f, .5f}, {.76f, .28f}},
        {{.76f, .26f}, {.7f, 1}}},
       {{{.74f, .2f}, {.5f, 0}, {.26f, .16f}, {.3f, .46f}, {.56f, .5f}, {.74f, .2f}},
        {{.74f, .2f}, {.76f, .6f}, {.62f, .92f}, {.3f, .98f}}}},
  }};
}

// A stroke as a polyline: Catmull-Rom spans, each cut into `steps` pieces. Two points stay a straight line.
Stroke flatten(const Stroke& points) {
  constexpr int steps = 4;
  const int n = static_cast<int>(points.size());
  const bool closed = points.front().x == points.back().x && points.front().y == points.back().y;
  const auto at = [&](int i) {
    if (closed) i = (i + n - 1) % (n - 1);
    return points[static_cast<std::size_t>(std::clamp(i, 0, n - 1))];
  };
  Stroke line{points.front()};
  for (int i = 0; i + 1 < n; ++i) {
    const Point a = at(i - 1), b = at(i), c = at(i + 1), d = at(i + 2);
    for (int step = 1; step <= steps; ++step) {
      const float t = static_cast<float>(step) / steps, t2 = t * t, t3 = t2 * t;
      const float wa = (2 * t2 - t - t3) / 2, wb = (3 * t3 - 5 * t2 + 2) / 2, wc = (t + 4 * t2 - 3 * t3) / 2,
                  wd = (t3 - t2) / 2;
      line.push_back({wa * a.x + wb * b.x + wc * c.x + wd * d.x, wa * a.y + wb * b.y + wc * c.y + wd * d.y});
    }
  }
  return line;
}

// From the glyph's box to pixels: a smooth bend, then scale, shear and rotation about the centre, then a
// shift.
class Warp {
 public:
  explicit Warp(Draws& draws) {
    for (float& a : bend_) a = draws.around(0, 0.06f);
    for (float& p : phase_) p = draws.between(0, 2 * std::numbers::pi_v<float>);
    const float width = draws.around(17.5f, 2.6f),
                height = draws.around(18.5f, 2.0f);  // of the box, in pixels
    const float angle = draws.around(0, 0.2f), shear = draws.around(0, 0.2f);
    const float cosine = std::cos(angle), sine = std::sin(angle);
    xx_ = cosine * width, xy_ = (cosine * shear - sine) * height;
    yx_ = sine * width, yy_ = (sine * shear + cosine) * height;
    x0_ = draws.around(side / 2.0f, 1.6f), y0_ = draws.around(side / 2.0f, 1.6f);
  }
  Point operator()(Point p) const {
    constexpr float turn = 4.5f;  // about 0.7 of a wave across the box: bends strokes, keeps their order
    const float x = p.x - 0.5f + bend_[0] * std::sin(turn * p.y + phase_[0]) +
                    bend_[1] * std::sin(turn * p.x + phase_[1]);
    const float y = p.y - 0.5f + bend_[2] * std::sin(turn * p.x + phase_[2]) +
                    bend_[3] * std::sin(turn * p.y + phase_[3]);
    return {xx_ * x + xy_ * y + x0_, yx_ * x + yy_ * y + y0_};
  }

 private:
  std::array<float, 4> bend_, phase_;
  float xx_, xy_, yx_, yy_, x0_, y0_;
};

using Field = std::array<float, pixels>;

// distance2 = min(distance2, squared distance to the segment a-b), where that is less than reach².
void stamp(Field& distance2, Point a, Point b, float reach) {
  const auto low = [&](float u, float v) {
    return std::max(0, static_cast<int>(std::floor(std::min(u, v) - reach)));
  };
  const auto high = [&](float u, float v) {
    return std::min(side - 1, static_cast<int>(std::max(u, v) + reach));
  };
  const float dx = b.x - a.x, dy = b.y - a.y, inverse = 1 / std::max(dx * dx + dy * dy, 1e-6f);
  const int left = low(a.x, b.x), right = high(a.x, b.x);
  for (int row = low(a.y, b.y); row <= high(a.y, b.y); ++row) {
    const float py = static_cast<float>(row) + 0.5f - a.y;
    float* out = distance2.data() + row * side;
#pragma omp simd
    for (int col = left; col <= right; ++col) {
      const float px = static_cast<float>(col) + 0.5f - a.x;
      const float t = std::clamp((px * dx + py * dy) * inverse, 0.0f, 1.0f);
      const float ex = px - t * dx, ey = py - t * dy;
      out[col] = std::min(out[col], ex * ex + ey * ey);
    }
  }
}

// Noise around zero: a pixel gets the sum of two random bytes, which has the deviation 256 / sqrt(6).
Field noise_field(Draws& draws, float deviation) {
  constexpr std::size_t pixels_per_draw = 8;
  static_assert(pixels % pixels_per_draw == 0);
  const float scale = deviation / 104.5f;
  Field field;
  for (std::size_t first = 0; first < pixels; first += pixels_per_draw) {
    const Random4 r = draws.words();
    for (std::size_t i = 0; i < pixels_per_draw; ++i) {
      const std::uint32_t half = r.v[i / 2] >> (i % 2 * 16);
      const auto sum = static_cast<int>((half & 255) + (half >> 8 & 255));
      field[first + i] = scale * static_cast<float>(sum - 255);
    }
  }
  return field;
}

// image (28,28): ink where the pen was, fading over a pixel at its edge, plus noise.
void draw(const std::vector<Glyph>& variants, Draws draws, std::uint8_t* image) {
  const auto choice = uniform_below(draws.words().v[0], static_cast<std::uint32_t>(variants.size()));
  const Warp warp(draws);
  const float reach = draws.between(1.15f, 2.25f);  // radius of the pen plus half a pixel
  const float ink = draws.between(0.4f, 1.0f), noise = draws.between(0.02f, 0.18f);

  Field distance2;
  distance2.fill(1e3f);
  for (const Stroke& stroke : variants[choice]) {
    Point from = warp(stroke.front());
    for (std::size_t i = 1; i < stroke.size(); ++i) {
      const Point to = warp(stroke[i]);
      stamp(distance2, from, to, reach);
      from = to;
    }
  }
  Field value = noise_field(draws, noise);
  for (std::size_t i = 0; i < pixels; ++i) {
    if (distance2[i] < reach * reach) value[i] += ink * std::min(reach - std::sqrt(distance2[i]), 1.0f);
  }
  for (std::size_t i = 0; i < pixels; ++i) {
    // Clamped as an integer, for which the compiler needs no branch and vectorises.
    image[i] = static_cast<std::uint8_t>(std::clamp(static_cast<int>(255 * value[i] + 0.5f), 0, 255));
  }
}

// Every class equally often, in random order: 0,1,…,9,0,1,… shuffled.
void append_labels(std::vector<std::int32_t>& labels, int count, std::uint64_t seed, std::uint32_t part) {
  std::vector<std::int32_t> shuffled(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) shuffled[static_cast<std::size_t>(i)] = i % classes;
  // Counters far from those of Draws, which starts at stream 0.
  shuffle(shuffled, seed, Purpose::digits, 0x10000 + part);
  labels.insert(labels.end(), shuffled.begin(), shuffled.end());
}

/// 28x28 glyphs of the ten digits, every class equally often. A sample is a function of seed and index.
class Digits final : public ResidentSource {
 public:
  Digits() : ResidentSource(Source::digits) {}

  std::vector<std::string> class_names() const override {
    return {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  }
  Published published() const override { return {}; }
  Match match(const std::filesystem::path&) const override { return Match::no; }
  std::string drawn_from(const DataConfig&, std::uint64_t seed) const override {
    return fmt::format("digits {}", seed);
  }

 protected:
  SetSizes sizes(const DataConfig&) const override {
    return {.image = {1, side, side, 1}, .classes = classes, .train = train_samples, .test = test_samples};
  }

  Dataset read(const DataConfig&, std::uint64_t seed, bool test) const override {
    auto variants = handwriting();
    for (auto& glyphs : variants) {
      for (Glyph& glyph : glyphs) std::transform(glyph.begin(), glyph.end(), glyph.begin(), flatten);
    }
    Dataset data;
    data.image = {1, side, side, 1};
    data.classes = classes;
    append_labels(data.labels, train_samples, seed, 0);
    append_ids(data.train, 0, train_samples);
    if (test) {
      append_labels(data.labels, test_samples, seed, 1);
      append_ids(data.validation, train_samples, test_samples);
    }
    const int samples = static_cast<int>(data.labels.size());
    data.images.resize(static_cast<std::size_t>(samples) * pixels);
    ThreadPool(default_threads()).for_each(samples, [&](std::int64_t i) {
      const auto sample = static_cast<std::size_t>(i);
      draw(variants[static_cast<std::size_t>(data.labels[sample])], Draws(Purpose::digits, seed, sample),
           data.images.data() + sample * pixels);
    });
    return data;
  }
};

}  // namespace

namespace sets {

const DataSource& digits() {
  static const Digits set;
  return set;
}

}  // namespace sets

}  // namespace convoy
