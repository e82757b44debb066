// Tiles chosen by measurement on the GPU: whichever is taken, and whether any was measured, results have the
// same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/regular_file.h"
#include "kernels/conv/cuda/plan.h"
#include "src/engine/tensor_values.h"
#include "src/io/atomic_file.h"
#include "tests/train/support.h"

namespace fs = std::filesystem;

namespace convoy::testing {
namespace {

struct Storage {
  const char* name;
  DType type;
  Math math;
};
constexpr Storage storages[] = {{"fp32", DType::f32, Math::fp32},
                                {"tf32", DType::f32, Math::tf32},
                                {"fp16", DType::f16, Math::fp32},
                                {"bf16", DType::bf16, Math::fp32}};

/// The three products of a convolution and two fused ones, in one arena.
struct Products {
  explicit Products(const ConvShape& s, const Storage& storage, const Engine& engine) {
    const auto place = [&](DType type, std::int64_t count) {
      const Tensor tensor{Arena::activations, type, bytes, count};
      bytes += (tensor.bytes() + 255) / 256 * 256;
      return tensor;
    };
    const std::int64_t in = s.n * s.in.count(), out = s.n * s.out().count();
    const Tensor x = place(storage.type, in), w = place(storage.type, s.weights());
    const Tensor dy = place(storage.type, out), bias = place(DType::f32, s.k);
    const Tensor y = place(storage.type, out), activated = place(storage.type, out);
    const Tensor dx = place(storage.type, in), dw = place(DType::f32, s.weights());
    const Tensor normalized = place(storage.type, out), sums = place(DType::f64, 2 * s.k);
    const auto per_filter = [&] { return place(DType::f32, s.k); };
    inputs = {x, w, dy, bias};
    const ConvForward forward{s, x, w, bias, y, storage.math};
    ConvActivation fused;
    fused.plain = forward, fused.plain.y = activated, fused.activation = LeakyReluEpilogue{0.1f};
    ConvStatistics statistics{forward,      {s.n, 0, s.n, s.n, s.out().pixels(), s.k},
                              0.25,         sums,
                              per_filter(), per_filter(),
                              per_filter(), per_filter()};
    statistics.plain.y = normalized;
    results = {y,
               activated,
               dx,
               dw,
               normalized,
               sums,
               statistics.mean,
               statistics.inv_std,
               statistics.batch_mean,
               statistics.batch_var};
    plan.name = "products";
    for (const Call& call :
         std::initializer_list<Call>{forward, fused, statistics, ConvDgrad{s, dy, w, dx, storage.math},
                                     ConvWgrad{s, x, dy, dw, storage.math}}) {
      plan.steps.push_back({call, "conv"});
      auto& workspace = plan.arenas[static_cast<std::size_t>(Arena::workspace)];
      workspace = std::max(workspace, engine.workspace_bytes(call));
    }
    plan.arenas[static_cast<std::size_t>(Arena::activations)] = bytes;
  }
  Plan plan;
  std::vector<Tensor> inputs, results;
  std::int64_t bytes = 0;
};

class CudaTileTuning : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }

  bool has(const Storage& storage) const {
    const bool newer = storage.math == Math::tf32 || storage.type == DType::bf16;
    return !newer || make_engine(EngineKind::cuda, alone_)->computes_in(Precision::tf32);
  }

  /// The bits of all results.
  std::vector<std::byte> run(const ConvShape& shape, const Storage& storage, bool tune) const {
    const auto engine = make_engine(EngineKind::cuda, alone_);
    const Products products(shape, storage, *engine);
    engine->allocate(products.plan.arenas);
    const int plan = engine->load(products.plan);
    if (tune) engine->tune();
    std::vector<std::byte> memory(static_cast<std::size_t>(products.bytes));
    const Tensor all{Arena::activations, DType::u8, 0, products.bytes};
    engine->read(all, memory.data());
    EXPECT_TRUE(std::all_of(memory.begin(), memory.end(), [](std::byte b) { return b == std::byte{0}; }))
        << "memory is zero when training begins";
    for (std::size_t i = 0; i < products.inputs.size(); ++i) {
      std::vector<double> values;
      for (std::int64_t e = 0; e < products.inputs[i].count; ++e) {
        const auto word = random4(9, Purpose::initialize, i, static_cast<std::uint64_t>(e)).v[0];
        values.push_back(2 * static_cast<double>(uniform01(word)) - 1);
      }
      write_values(*engine, products.inputs[i], values);
    }
    engine->run(plan, StepState{});
    std::vector<std::byte> bits;
    for (const Tensor& result : products.results) {
      std::vector<std::byte> more(static_cast<std::size_t>(result.bytes()));
      engine->read(result, more.data());
      EXPECT_FALSE(std::all_of(more.begin(), more.end(), [](std::byte b) { return b == std::byte{0}; }));
      bits.insert(bits.end(), more.begin(), more.end());
    }
    return bits;
  }

  /// The only cache file there is; empty when there is none.
  fs::path cache_file() const {
    fs::path found;
    if (!fs::exists(folder_.path() / "convoy")) return found;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "convoy")) {
      if (entry.path().extension() != ".json") continue;
      EXPECT_TRUE(found.empty()) << "one device and build, one file";
      found = entry.path();
    }
    return found;
  }

  RankEnvironment alone_ = RankEnvironment::alone();
  TemporaryFolder folder_;
  ScopedVariable cache_{"XDG_CACHE_HOME", folder_.path().c_str()};
};

std::vector<ConvShape> shapes() {
  ConvShape ragged;  // no extent fills a tile
  ragged.n = 3, ragged.in = {1, 13, 11, 16}, ragged.k = 40, ragged.r = ragged.s = 3, ragged.pad = {0, 1, 1};
  ConvShape strided;  // four classes in dgrad, many splits in wgrad
  strided.n = 33, strided.in = {1, 17, 16, 72}, strided.k = 136, strided.r = strided.s = 3;
  strided.stride = {1, 2, 2}, strided.pad = {0, 1, 1};
  ConvShape wide;  // more than one of the largest tiles each way
  wide.n = 7, wide.in = {1, 7, 7, 264}, wide.k = 272;
  ConvShape volume;
  volume.n = 2, volume.in = {5, 6, 7, 8}, volume.k = 16, volume.t = volume.r = volume.s = 3;
  volume.stride = {2, 2, 2}, volume.pad = {1, 1, 1}, volume.dilation = {1, 2, 1};
  ConvShape blocks;  // several blocks of channels, and of rows, each with all taps
  blocks.n = 21, blocks.in = {1, 9, 9, 136}, blocks.k = 200, blocks.r = blocks.s = 3, blocks.pad = {0, 1, 1};
  ConvShape narrow;  // strided, one block of channels
  narrow.n = 9, narrow.in = {1, 16, 16, 64}, narrow.k = 72, narrow.r = narrow.s = 3;
  narrow.stride = {1, 2, 2}, narrow.pad = {0, 1, 1};
  return {ragged, strided, wide, volume, blocks, narrow};
}

/// Tiles are forced by writing them to the cache. One that a family lacks, or the device has no room for, is
/// measured anew.
TEST_F(CudaTileTuning, EveryTileGivesTheSameBits) {
  for (const Storage& storage : storages) {
    if (!has(storage)) continue;
    for (const ConvShape& shape : shapes()) {
      SCOPED_TRACE(fmt::format("{} {}", storage.name, shape.describe()));
      fs::remove_all(folder_.path() / "convoy");
      const auto expected = run(shape, storage, false);
      EXPECT_TRUE(cache_file().empty()) << "measured without being asked";
      EXPECT_EQ(run(shape, storage, true), expected);
      const fs::path file = cache_file();
      ASSERT_FALSE(file.empty());
      auto json = nlohmann::json::parse(read_file(file));
      ASSERT_EQ(json["tiles"].size(), 3u) << "fprop, dgrad, wgrad: " << json["tiles"].dump();
      std::size_t used = 0;
      constexpr std::size_t more_than_any =
          std::max({ffma_tiles.size(), tf32_tiles.size(), half_tiles.size(), turing_tiles.size(),
                    patch_tiles.size(), patch_wgrad_tiles.size()});
      for (std::size_t tile = 0; tile <= more_than_any; ++tile) {
        for (auto& choice : json["tiles"]) choice = tile;
        std::ofstream(file) << json;
        EXPECT_EQ(run(shape, storage, true), expected) << "tile " << tile;
        const auto after = nlohmann::json::parse(read_file(file));
        ASSERT_EQ(after["tiles"].size(), 3u);
        if (after != json) continue;
        ++used;
        EXPECT_LT(tile, more_than_any) << "there is no such tile";
      }
      EXPECT_GE(used, 3u) << "the cache's tiles were not taken: nothing is tested";
    }
  }
}

/// Channels in eights, which every family takes; the first layer has kernels of its own.
Config network(const Storage& storage, bool autotune) {
  return parse_config(fmt::format(R"(
seed: 3
data: {{source: digits, normalize: {{mean: [0.4], std: [0.3]}}}}
model:
  input: [2, 6, 6]
  layers:
    - conv: {{out: 16, kernel: 3, pad: same, bias: false}}
    - batchnorm
    - relu
    - conv: {{out: 24, kernel: 3, stride: 2, pad: 1}}
    - relu
    - globalavgpool
    - linear: 3
train: {{global_batch: 8, precision: {}, autotune: {}}}
optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}
)",
                                  storage.name, autotune),
                      "tuning.yaml", {});
}

TEST_F(CudaTileTuning, TrainingHasTheSameBitsWithColdWarmAndNoCache) {
  for (const Storage& storage : storages) {
    if (!has(storage)) continue;
    SCOPED_TRACE(storage.name);
    const auto train = [&](bool autotune) {
      const Config config = network(storage, autotune);
      Session session(config, tiny_data(37, 11), make_engine(EngineKind::cuda, alone_), alone_);
      session.initialize();
      train_epochs(session, config, 1, 2);
      return std::pair{weights_of(session), session.evaluate().loss()};
    };
    fs::remove_all(folder_.path() / "convoy");
    const auto fixed = train(false);
    EXPECT_TRUE(cache_file().empty());
    EXPECT_EQ(train(true), fixed) << "cold";
    const fs::path file = cache_file();
    ASSERT_FALSE(file.empty());
    const std::string text = read_file(file);
    const auto written = fs::last_write_time(file);
    EXPECT_EQ(train(true), fixed) << "warm";
    EXPECT_EQ(read_file(file), text);
    EXPECT_EQ(fs::last_write_time(file), written) << "a warm cache is not written";
    std::ofstream(file) << "damaged";
    EXPECT_EQ(train(true), fixed) << "damaged";
    EXPECT_NE(read_file(file), "damaged");
  }
}

TEST_F(CudaTileTuning, TrainsWhereNothingCanBeRemembered) {
  std::ofstream(folder_.path() / "file") << "in the way";
  const ScopedVariable blocked("XDG_CACHE_HOME", (folder_.path() / "file").c_str());
  const Config config = network(storages[0], true);
  Session session(config, tiny_data(37, 11), make_engine(EngineKind::cuda, alone_), alone_);
  session.initialize();
  train_epochs(session, config, 1, 1);
  EXPECT_TRUE(std::isfinite(session.evaluate().loss()));
}

}  // namespace
}  // namespace convoy::testing
