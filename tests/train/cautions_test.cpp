// What is allowed and mostly a mistake.
#include "src/session/cautions.h"

#include <gtest/gtest.h>

namespace convoy::testing {
namespace {

Config config_of(const std::string& more) {
  return parse_config("model: {input: [1, 2, 2], layers: [flatten, linear: 2]}\n" + more, "t", {});
}

TEST(Cautions, EpochsOfOneStep) {
  const Config config = config_of("train: {global_batch: 256}");
  const std::vector<Caution> found = cautions(config, {15, 5, 0, 20}, false);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].text.find("1 step per epoch: 15 images, global_batch 256; with train.global_batch: 1 "),
            std::string::npos)
      << found[0].text;
  EXPECT_TRUE(cautions(config, {257, 5, 0, 262}, false).empty());
}

TEST(Cautions, WarmupsThatAreShortened) {
  const SampleCounts counts{1000, 100, 0, 1100};  // 10 steps per epoch
  const auto texts = [&](const std::string& schedule, int epochs) {
    std::vector<std::string> found;
    const Config config =
        config_of(fmt::format("train: {{global_batch: 100, epochs: {}}}\nschedule: {}", epochs, schedule));
    for (const Caution& caution : cautions(config, counts, false)) found.push_back(caution.text);
    return found;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(texts("{name: cosine, warmup_epochs: 5}", 3),
            Texts{"schedule.warmup_epochs: 5 asks for a warm-up longer than half of the run of 3 epochs, 30 "
                  "steps: it takes 15 steps"});
  EXPECT_EQ(texts("{name: constant, warmup_steps: 6}", 1),
            Texts{"schedule.warmup_steps: 6 asks for a warm-up longer than half of the run of 1 epoch, 10 "
                  "steps: it takes 5 steps"});
  EXPECT_EQ(texts("{name: cosine, warmup_epochs: 5}", 10), Texts{}) << "half of the run exactly";
  EXPECT_EQ(texts("{name: constant, warmup_steps: 5}", 1), Texts{});
  EXPECT_EQ(texts("one_cycle", 1), Texts{});
}

TEST(Cautions, TestImagesThatChoose) {
  const SampleCounts counts{1000, 100, 0, 1100};
  const Config best = config_of("checkpoint: {best: true}"),
               both = config_of("checkpoint: {best: true}\ntrain: {early_stop: {}}");
  ASSERT_EQ(cautions(best, counts, true).size(), 1u);
  EXPECT_EQ(cautions(best, counts, true)[0].text.rfind("checkpoint.best chooses by the test images", 0), 0u);
  EXPECT_EQ(cautions(both, counts, true)[0].text.rfind("train.early_stop and checkpoint.best choose by", 0),
            0u);
  EXPECT_TRUE(cautions(both, counts, false).empty()) << "validation has images of its own";
  EXPECT_TRUE(cautions(config_of(""), counts, true).empty()) << "nothing is chosen";
}

}  // namespace
}  // namespace convoy::testing
