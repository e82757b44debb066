// Ranks hold the same weights from the start, and it is noticed when they no longer do.
#include "src/session/replicas.h"

#include <gtest/gtest.h>

#include "comm/agree.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

TEST(Replicas, HashesNameEveryWeight) {
  const RankEnvironment alone = RankEnvironment::alone();
  Session session(tiny_config({"train.ema=0.9"}), tiny_data(17, 5), make_engine(EngineKind::cpu, alone),
                  alone);
  session.initialize();
  const std::vector<NamedHash> before = session.hash_weights();
  ASSERT_EQ(before.size(), 2 * session.graph().parameters.size());
  for (const NamedTensor& named : session.named_tensors(false)) {
    if (named.parameter == nullptr) continue;
    std::vector<double> values = session.read_values(named.tensor);
    values[0] += 0.5;
    session.write_values(named.tensor, values);
    const std::vector<NamedHash> after = session.hash_weights();
    for (std::size_t i = 0; i < after.size(); ++i)
      EXPECT_EQ(after[i].hash != before[i].hash, after[i].name == named.name)
          << named.name << ' ' << after[i].name;
    values[0] -= 0.5;
    session.write_values(named.tensor, values);
  }
}

class DistributedReplicas : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
  static std::unique_ptr<Session> session(const Config& config) {
    auto made =
        std::make_unique<Session>(config, tiny_data(17, 5), make_engine(GetParam(), ranks()), ranks());
    made->initialize();
    return made;
  }
  /// What is said of the weights; nothing when they are the same.
  static std::string said_of(Session& session) {
    try {
      require_same_weights(session, ranks(), "now");
    } catch (const AgreedError& error) {
      return error.what();
    }
    return {};
  }
};

TEST_P(DistributedReplicas, BeginWithRankZerosWeights) {
  Config config = tiny_config();
  config.seed += static_cast<std::uint64_t>(ranks().rank());  // as if they were computed differently
  const std::unique_ptr<Session> several = session(config);
  EXPECT_EQ(said_of(*several), "");
  const RankEnvironment alone = RankEnvironment::alone();
  Session single(tiny_config(), tiny_data(17, 5), make_engine(GetParam(), alone), alone);
  single.initialize();
  EXPECT_EQ(weights_of(*several), weights_of(single));
}

TEST_P(DistributedReplicas, StayTheSame) {
  const Config config = tiny_config({"train.ema=0.9"});
  const std::unique_ptr<Session> several = session(config);
  train_epochs(*several, config, 1, 3);
  EXPECT_EQ(said_of(*several), "");
}

TEST_P(DistributedReplicas, ThatDriftedAreNamedWithTheFirstTensor) {
  const Config config = tiny_config();
  const std::unique_ptr<Session> several = session(config);
  train_epochs(*several, config, 1, 1);
  const int odd = ranks().size() - 1;
  // Of two altered tensors the one that comes first in the network is named.
  for (const char* name : {"3.body.0.weight", "0.weight"}) {
    for (const NamedTensor& named : several->named_tensors(false)) {
      if (named.name != name || ranks().rank() != odd) continue;
      std::vector<double> values = several->read_values(named.tensor);
      values.back() = static_cast<double>(std::nextafter(static_cast<float>(values.back()), 9.0f));
      several->write_values(named.tensor, values);
    }
    const std::string said = said_of(*several);
    EXPECT_NE(said.find(fmt::format(": {} is the first tensor that differs", name)), std::string::npos)
        << said;
    EXPECT_NE(said.find(fmt::format("now the weights of rank {} (host ", odd)), std::string::npos) << said;
    EXPECT_NE(said.find(ranks().size() == 2 ? "not those of rank 0" : "not those of the others"),
              std::string::npos)
        << said;
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, DistributedReplicas,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

}  // namespace
}  // namespace convoy::testing
