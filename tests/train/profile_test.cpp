// Steps that are timed call by call are the same steps.
#include "src/report/profile.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/train/support.h"

namespace convoy::testing {
namespace {

class Profiles : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks_)) GTEST_SKIP() << devices_needed(ranks_);
  }
  Session make_session(const Config& config) const {
    return {config, tiny_data(37, 5), make_engine(GetParam(), ranks_), ranks_};
  }
  const RankEnvironment ranks_ = RankEnvironment::alone();
};

StepState state_of(int step) {
  StepState state;
  state.step = step;
  state.learning_rate = 0.1f;
  return state;
}

TEST_P(Profiles, TimedStepsKeepEveryBit) {
  const Config config = tiny_config();
  Session plain = make_session(config), timed = make_session(config);
  for (Session* session : {&plain, &timed}) {
    session->initialize();
    session->begin_epoch(1);
    for (int i = 0; i < session->steps_per_epoch(); ++i) {
      const bool by_call = session == &timed && i % 2 == 1;  // steps of both kinds follow each other
      if (by_call)
        session->train_batch_timed(i, state_of(i));
      else
        session->train_batch(i, state_of(i));
    }
  }
  EXPECT_EQ(weights_of(plain), weights_of(timed));
  EXPECT_EQ(plain.read_training_metrics().loss_sum, timed.read_training_metrics().loss_sum);
}

TEST_P(Profiles, EveryCallHasATimeAndNoneOverlapsOnItsLane) {
  const Config config = tiny_config();
  Session session = make_session(config);
  session.initialize();
  session.begin_epoch(1);
  const Plan& plan = session.plans().training.at(session.plans().training_batches[0].count);
  for (int i = 0; i < 2; ++i) {  // with and without a first run before
    const std::vector<CallTime> times = session.train_batch_timed(i, state_of(i));
    ASSERT_EQ(times.size(), plan.steps.size());
    std::map<int, double> until;
    for (const CallTime& time : times) {
      EXPECT_GE(time.begin, 0);
      EXPECT_LE(time.begin, time.end);
      const auto [last, first_of_stream] = until.emplace(time.stream, 0.0);
      EXPECT_GE(time.begin, last->second - 1e-6);  // what a GPU's clock can tell
      last->second = time.end;
    }
    EXPECT_LE(until.size(), static_cast<std::size_t>(session.engine().streams()));
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Profiles,
                         ::testing::Values(EngineKind::reference_f32, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

TEST(Profile, TheFirstTwoStepsAreNoPartOfIt) {
  Profiler profiler(1);
  EXPECT_FALSE(profiler.begin_step());
  EXPECT_FALSE(profiler.begin_step());
  EXPECT_TRUE(profiler.begin_step());
  profiler.end_step(Plan{}, {});
  EXPECT_TRUE(profiler.is_full());
  EXPECT_FALSE(profiler.begin_step());
}

}  // namespace
}  // namespace convoy::testing
