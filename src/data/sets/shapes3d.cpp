// The built-in volumes: a solid, turned, scaled, shifted and stretched at random, in noise.
//
// Distances are those of I. Quilez, "Distance functions" (https://iquilezles.org/articles/distfunctions);
// rotations are uniform by K. Shoemake, "Uniform random rotations", Graphics Gems III, 1992.
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

constexpr int side = 28, voxels = side * side * side;
constexpr int train_samples = 12000, test_samples = 2000;

struct Vec {
  float x = 0, y = 0, z = 0;
};
Vec operator-(Vec a, Vec b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}
Vec magnitudes(Vec a) {
  return {std::abs(a.x), std::abs(a.y), std::abs(a.z)};
}
float length(float x, float y) {
  return std::sqrt(x * x + y * y);
}
float length(Vec a) {
  return std::sqrt(a.x * a.x + a.y * a.y + a.z * a.z);
}

// Distances to the surface of a solid about as large as the unit ball: below 0 inside.

float box(Vec p, Vec half) {
  const Vec q = magnitudes(p) - half;
  const Vec outside{std::max(q.x, 0.0f), std::max(q.y, 0.0f), std::max(q.z, 0.0f)};
  return length(outside) + std::min(std::max({q.x, q.y, q.z}), 0.0f);
}
float ball(Vec p) {
  return length(p) - 0.85f;
}
float cube(Vec p) {
  return box(p, {0.68f, 0.68f, 0.68f});
}
float cylinder(Vec p) {
  const float across = length(p.x, p.z) - 0.5f, along = std::abs(p.y) - 0.9f;
  return std::min(std::max(across, along), 0.0f) + length(std::max(across, 0.0f), std::max(along, 0.0f));
}
float cone(Vec p) {  // the tip at y = 1, the base at y = -0.7; a bound of the distance
  const float slope = 0.7f / 1.7f;
  const float side_of_it = (length(p.x, p.z) - slope * (1 - p.y)) / std::sqrt(1 + slope * slope);
  return std::max(side_of_it, -0.7f - p.y);
}
float torus(Vec p) {
  return length(length(p.x, p.z) - 0.68f, p.y) - 0.26f;
}
float octahedron(Vec p) {
  const Vec a = magnitudes(p);
  return (a.x + a.y + a.z - 1.05f) * (1 / std::numbers::sqrt3_v<float>);
}
float cross(Vec p) {
  return std::min(
      {box(p, {0.95f, 0.26f, 0.26f}), box(p, {0.26f, 0.95f, 0.26f}), box(p, {0.26f, 0.26f, 0.95f})});
}
float shell(Vec p) {
  return std::abs(length(p) - 0.78f) - 0.13f;
}

struct Solid {
  const char* name;
  float (*distance)(Vec);
};
constexpr std::array<Solid, 8> solids{{{"ball", ball},
                                       {"cube", cube},
                                       {"cylinder", cylinder},
                                       {"cone", cone},
                                       {"torus", torus},
                                       {"octahedron", octahedron},
                                       {"cross", cross},
                                       {"shell", shell}}};
constexpr int classes = static_cast<int>(solids.size());

/// From a voxel to the place in the solid's own box.
class Placing {
 public:
  explicit Placing(Draws& draws) {
    const Random4 r = draws.words();
    const float turn = 2 * std::numbers::pi_v<float>, u = uniform01(r.v[0]);
    const float a = std::sqrt(1 - u), b = std::sqrt(u);
    const float s = a * std::sin(turn * uniform01(r.v[1])), t = a * std::cos(turn * uniform01(r.v[1]));
    const float v = b * std::sin(turn * uniform01(r.v[2])), w = b * std::cos(turn * uniform01(r.v[2]));
    rows_ = {{{1 - 2 * (t * t + v * v), 2 * (s * t - v * w), 2 * (s * v + t * w)},
              {2 * (s * t + v * w), 1 - 2 * (s * s + v * v), 2 * (t * v - s * w)},
              {2 * (s * v - t * w), 2 * (t * v + s * w), 1 - 2 * (s * s + t * t)}}};
    radius_ = draws.between(7.5f, 11.0f);
    stretch_ = {draws.between(0.85f, 1.15f), draws.between(0.85f, 1.15f), draws.between(0.85f, 1.15f)};
    const float room = side / 2.0f - radius_;
    center_ = {side / 2.0f + draws.between(-room, room), side / 2.0f + draws.between(-room, room),
               side / 2.0f + draws.between(-room, room)};
  }
  Vec operator()(float x, float y, float z) const {
    const Vec p = Vec{x + 0.5f, y + 0.5f, z + 0.5f} - center_;
    const auto along = [&](const Vec& row) { return (row.x * p.x + row.y * p.y + row.z * p.z) / radius_; };
    return {along(rows_[0]) / stretch_.x, along(rows_[1]) / stretch_.y, along(rows_[2]) / stretch_.z};
  }
  float radius() const { return radius_; }  ///< in voxels

 private:
  std::array<Vec, 3> rows_;
  Vec stretch_, center_;
  float radius_ = 1;
};

/// volume (28,28,28): brightness within, fading over a voxel at the surface, plus noise.
void draw(const Solid& solid, Draws draws, std::uint8_t* volume) {
  const Placing place(draws);
  const float ground = draws.between(0.1f, 0.3f), ink = draws.between(0.3f, 0.6f),
              noise = draws.between(0.02f, 0.12f);
  constexpr int voxels_per_draw = 8;
  static_assert(voxels % voxels_per_draw == 0);
  Random4 r{};
  for (int i = 0; i < voxels; ++i) {
    const int z = i / (side * side), y = i / side % side, x = i % side;
    if (i % voxels_per_draw == 0) r = draws.words();
    const std::uint32_t half = r.v[i % voxels_per_draw / 2] >> (i % 2 * 16);
    // Two random bytes have the deviation 104.5 around 255.
    const float speckle =
        noise / 104.5f * static_cast<float>(static_cast<int>((half & 255) + (half >> 8 & 255)) - 255);
    const float depth = -place.radius() * solid.distance(place(static_cast<float>(x), static_cast<float>(y),
                                                               static_cast<float>(z)));
    const float value = ground + ink * std::clamp(depth + 0.5f, 0.0f, 1.0f) + speckle;
    volume[i] = static_cast<std::uint8_t>(std::clamp(static_cast<int>(255 * value + 0.5f), 0, 255));
  }
}

/// Volumes of eight solids, every class equally often. A sample is a function of seed and index.
class Shapes final : public ResidentSource {
 public:
  Shapes() : ResidentSource(Source::shapes3d) {}

  std::vector<std::string> class_names() const override {
    std::vector<std::string> names;
    for (const Solid& solid : solids) names.emplace_back(solid.name);
    return names;
  }
  Published published() const override { return {}; }
  Match match(const std::filesystem::path&) const override { return Match::no; }
  std::string drawn_from(const DataConfig&, std::uint64_t seed) const override {
    return fmt::format("shapes3d {}", seed);
  }

 protected:
  SetSizes sizes(const DataConfig&) const override {
    return {.image = {side, side, side, 1}, .classes = classes, .train = train_samples, .test = test_samples};
  }

  Dataset read(const DataConfig&, std::uint64_t seed, bool test) const override {
    Dataset data;
    data.image = {side, side, side, 1};
    data.classes = classes;
    append_ids(data.train, 0, train_samples);
    if (test) append_ids(data.validation, train_samples, test_samples);
    const int samples = train_samples + (test ? test_samples : 0);
    data.labels.resize(static_cast<std::size_t>(samples));
    data.images.resize(static_cast<std::size_t>(samples) * voxels);
    ThreadPool(default_threads()).for_each(samples, [&](std::int64_t i) {
      const auto sample = static_cast<std::size_t>(i);
      data.labels[sample] = static_cast<std::int32_t>(i % classes);
      draw(solids[sample % classes], Draws(Purpose::shapes, seed, sample),
           data.images.data() + sample * voxels);
    });
    return data;
  }
};

}  // namespace

namespace sets {

const DataSource& shapes3d() {
  static const Shapes set;
  return set;
}

}  // namespace sets

}  // namespace convoy
