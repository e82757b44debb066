// Passes change where sums are rounded, nothing else.
#include <gtest/gtest.h>

#include "comm/agree.h"
#include "tests/test_environment.h"
#include "tests/train/networks.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

/// The tiny network, both of whose normalisations have groups of so many images.
Config with_groups(int size, std::vector<std::string> overrides = {}) {
  std::string yaml = tiny_yaml;
  const auto replace = [&](const std::string& what, const std::string& by) {
    yaml.replace(yaml.find(what), what.size(), by);
  };
  replace("{group: 3}", fmt::format("{{group: {}}}", size));
  replace("- batchnorm\n", fmt::format("- batchnorm: {{group: {}}}\n", size));
  return parse_config(yaml, "groups.yaml", overrides);
}
Config grouped_config(std::vector<std::string> overrides = {}) {
  return with_groups(2, std::move(overrides));
}

std::unique_ptr<Session> trained(EngineKind kind, const Config& config, const RankEnvironment& environment) {
  auto session =
      std::make_unique<Session>(config, tiny_data(19, 5), make_engine(kind, environment), environment);
  session->initialize();
  train_epochs(*session, config, 1, 2);
  return session;
}
std::vector<double> trained_weights(EngineKind kind, const Config& config,
                                    const RankEnvironment& environment) {
  return weights_of(*trained(kind, config, environment));
}

class Engines : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
  static double tolerance() { return GetParam() == EngineKind::reference_f64 ? 1e-12 : 2e-5; }
};
class MicroBatches : public Engines {};
class DistributedMicroBatches : public Engines {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
    Engines::SetUp();
  }
};

// Batches of 8, 8 and 3 images: passes of 4, of 4, and of 3.
TEST_P(MicroBatches, TrainTheWeightsOfOnePass) {
  const RankEnvironment alone = RankEnvironment::alone();
  const std::vector<double> whole = trained_weights(GetParam(), grouped_config(), alone);
  for (const char* size : {"4", "2"}) {
    const Config config = grouped_config({std::string("train.micro_batch=") + size});
    EXPECT_LT(largest_difference(whole, trained_weights(GetParam(), config, alone)), tolerance()) << size;
  }
}

TEST_P(MicroBatches, TrainTheSameBitsOnStagedDataAndWithRecomputation) {
  const RankEnvironment alone = RankEnvironment::alone();
  const std::vector<double> expected =
      trained_weights(GetParam(), grouped_config({"train.micro_batch=4"}), alone);
  for (const char* key : {"data.resident=false", "train.recompute=true"}) {
    EXPECT_EQ(expected, trained_weights(GetParam(), grouped_config({"train.micro_batch=4", key}), alone))
        << key;
  }
}

// None of these layers depends on what shares its pass; what is dropped depends on the place in the batch.
TEST_P(MicroBatches, TrainModernLayersToTheWeightsOfOnePass) {
  const RankEnvironment alone = RankEnvironment::alone();
  const auto weights = [&](const char* train) {
    return trained_weights(GetParam(), step_config(modern_layers(), train), alone);
  };
  const std::vector<double> whole = weights("micro_batch: 0"), passes = weights("micro_batch: 4");
  EXPECT_LT(largest_difference(whole, passes), tolerance());
  EXPECT_EQ(passes, weights("micro_batch: 4, recompute: true"));
}

TEST_P(MicroBatches, NeedLessMemory) {
  const RankEnvironment alone = RankEnvironment::alone();
  const auto activations = [&](const Config& config) {
    return trained(GetParam(), config, alone)->plans().arenas[static_cast<std::size_t>(Arena::activations)];
  };
  EXPECT_LT(activations(grouped_config({"train.micro_batch=2"})), activations(grouped_config()) / 2);
}

TEST_P(DistributedMicroBatches, TrainTheWeightsOfOneRank) {
  const RankEnvironment alone = RankEnvironment::alone();
  const std::vector<double> whole = trained_weights(GetParam(), grouped_config(), alone);
  for (const char* key : {"train.micro_batch=0", "train.micro_batch=4", "train.micro_batch=2"}) {
    EXPECT_LT(largest_difference(whole, trained_weights(GetParam(), grouped_config({key}), ranks())),
              tolerance())
        << key;
  }
}

class DistributedLogicalShards : public DistributedMicroBatches {
 protected:
  void SetUp() override {
    DistributedMicroBatches::SetUp();
    if (!IsSkipped() && 8 % ranks().size() != 0) GTEST_SKIP() << "needs 2, 4 or 8 ranks";
  }
};

// 19 images in batches of 8: the last has 3, so that most logical shards are empty.
TEST_P(DistributedLogicalShards, TrainTheBitsOfOneRank) {
  const RankEnvironment alone = RankEnvironment::alone();
  for (const int shards : {4, 8}) {
    if (shards % ranks().size() != 0) continue;
    const Config config = with_groups(0, {fmt::format("train.reproducible_across_ranks={}", shards),
                                          "train.clip_norm=0.5", "data.resident=false"});
    EXPECT_EQ(trained_weights(GetParam(), config, alone), trained_weights(GetParam(), config, ranks()))
        << shards;
  }
}

TEST_P(DistributedLogicalShards, TrainModernLayersToTheBitsOfOneRank) {
  const RankEnvironment alone = RankEnvironment::alone();
  const Config config = step_config(modern_layers(), "reproducible_across_ranks: 8");
  EXPECT_EQ(trained_weights(GetParam(), config, alone), trained_weights(GetParam(), config, ranks()));
}

// Shows that the comparison above can fail.
TEST_P(DistributedLogicalShards, WithoutThemBitsDiffer) {
  if (GetParam() == EngineKind::reference_f64) GTEST_SKIP() << "in double precision they may agree";
  const RankEnvironment alone = RankEnvironment::alone();
  EXPECT_NE(trained_weights(GetParam(), grouped_config(), alone),
            trained_weights(GetParam(), grouped_config(), ranks()));
}

TEST(LogicalShards, AreTheirOwnBatchNormGroups) {
  const RankEnvironment alone = RankEnvironment::alone();
  const Config whole = grouped_config();  // groups of two
  const Config shards = with_groups(0, {"train.reproducible_across_ranks=4"});
  const Dataset data = tiny_data(16, 5);  // no short batch: there shards are shorter
  std::vector<std::vector<double>> weights;
  for (const Config& config : {whole, shards}) {
    Session session(config, data, make_engine(EngineKind::reference_f64, alone), alone);
    session.initialize();
    train_epochs(session, config, 1, 2);
    weights.push_back(weights_of(session));
  }
  EXPECT_LT(largest_difference(weights[0], weights[1]), 1e-12);
}

TEST(MicroBatchRules, NameTheLayerWhoseGroupsDoNotFit) {
  const RankEnvironment alone = RankEnvironment::alone();
  const auto message = [&](const Config& config) -> std::string {
    try {
      Session session(config, tiny_data(16, 5), make_engine(EngineKind::cpu, alone), alone);
    } catch (const AgreedError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(message(tiny_config({"train.micro_batch=4"})).find("groups of 3 images"), std::string::npos);
  EXPECT_NE(message(tiny_config({"train.micro_batch=3"})).find("groups of the whole batch"),
            std::string::npos);
  EXPECT_NE(message(tiny_config({"train.reproducible_across_ranks=4"})).find("groups of 3 images"),
            std::string::npos);
  EXPECT_EQ(message(grouped_config({"train.micro_batch=4"})), "");
}

INSTANTIATE_TEST_SUITE_P(Engines, MicroBatches,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda),
                         engine_name);
INSTANTIATE_TEST_SUITE_P(Engines, DistributedMicroBatches,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda),
                         engine_name);
INSTANTIATE_TEST_SUITE_P(Engines, DistributedLogicalShards,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

}  // namespace
}  // namespace convoy::testing
