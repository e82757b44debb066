// What a study makes of its figures: speed-ups, serial fractions, tables, charts.
#include "src/study/tables.h"

#include <gtest/gtest.h>

#include "src/study/page.h"
#include "src/study/svg.h"

namespace convoy::testing {
namespace {

StudyEngine cpu(int threads, int ranks = 1) {
  StudyEngine engine;
  engine.threads = threads, engine.ranks = ranks;
  return engine;
}

/// Two networks on plain loops and on 1, 2 and 4 threads, of which a tenth is serial.
struct Fixture {
  Study study;
  StudyResults results;
  Fixture() {
    study.title = "a < b";
    study.variants = {{"small", "", {}}, {"large & wide", "", {}}};
    StudyEngine loops;
    loops.device = Device::reference;
    study.engines = {loops, cpu(1), cpu(2), cpu(4)};
    for (std::size_t v = 0; v < 2; ++v) {
      for (std::size_t e = 0; e < 4; ++e) {
        const int n = study.engines[e].threads;
        const double rate = e == 0 ? 10 : 100 / (0.1 + 0.9 / n);
        results.speeds.push_back({v, e, {0.9 * rate, rate, 1.2 * rate}, 2e6, 1 << 20});
      }
    }
    results.gates = {{0, 1, 1e-7, 1e-4}, {0, 2, 1e-3, 1e-4}};
  }
};

TEST(Scaling, FindsTheSerialFractionItWasMadeOf) {
  const Fixture f;
  const std::vector<ScalingCurve> curves = scaling_curves(f.study, f.results);
  ASSERT_EQ(curves.size(), 2u);
  EXPECT_EQ(curves[0].what, "threads");
  ASSERT_EQ(curves[0].speedups.size(), 3u);
  EXPECT_NEAR(curves[0].serial_fraction(), 0.1, 1e-12);
  EXPECT_NEAR(karp_flatt(4, curves[0].speedups[2].second), 0.1, 1e-12);
}

TEST(Scaling, HasNothingToSayOfOneNumber) {
  Fixture f;
  std::erase_if(f.results.speeds, [](const SpeedResult& speed) { return speed.engine > 1; });
  EXPECT_TRUE(scaling_curves(f.study, f.results).empty());
}

TEST(StudyTables, MeasureAgainstPlainLoopsOrOneThread) {
  Fixture f;
  EXPECT_EQ(sequential_engine(f.study, f.results), 0u);
  std::erase_if(f.results.speeds, [](const SpeedResult& speed) { return speed.engine == 0; });
  EXPECT_EQ(sequential_engine(f.study, f.results), 1u);
}

TEST(StudyTables, AreWrittenForSpreadsheetsAndLatex) {
  const Fixture f;
  const std::vector<StudyTable> tables = tables_of(f.study, f.results);
  ASSERT_GE(tables.size(), 3u);
  EXPECT_EQ(tables[0].name, "correctness");
  EXPECT_EQ(tables[0].rows[0].back(), "passed");
  EXPECT_EQ(tables[0].rows[1].back(), "FAILED");
  const std::string csv = to_csv(tables[1]), latex = to_latex(tables[1]);
  EXPECT_NE(csv.find("small,\"cpu, 1 thread\",100,90,120,10,2\n"), std::string::npos) << csv;
  EXPECT_NE(latex.find("large \\& wide"), std::string::npos) << latex;
  EXPECT_NE(latex.find("\\begin{tabular}{lllllll}"), std::string::npos) << latex;
}

TEST(StudyTables, GiveMeansAndDeviationsOverSeeds) {
  Fixture f;
  for (const double accuracy : {0.8, 0.9}) {
    RunResult run;
    run.epochs = {{1, 1, 1, 0.5, 5}, {2, 1, 1, accuracy, 10}};
    f.results.runs.push_back(run);
  }
  const auto accuracy = accuracy_of(f.results, 0);
  ASSERT_TRUE(accuracy.has_value());
  EXPECT_NEAR(accuracy->mean, 0.85, 1e-12);
  EXPECT_NEAR(accuracy->deviation, 0.0707106781, 1e-9);
  EXPECT_FALSE(accuracy_of(f.results, 1).has_value());
}

TEST(StudyCalls, AreThoseThatTakeNineTenths) {
  CallsResult calls;
  for (const double seconds : {1.0, 50.0, 7.0, 42.0})
    calls.calls.push_back({"0", "conv.fprop", "", seconds, 1, 1});
  const std::vector<StudyCall> longest = longest_calls(calls);
  ASSERT_EQ(longest.size(), 2u);
  EXPECT_EQ(longest[0].seconds, 50);
  EXPECT_EQ(longest[1].seconds, 42);
}

TEST(StudyPage, NeedsNoOtherFileAndEscapesNames) {
  const Fixture f;
  const std::string page = study_page(f.study, f.results);
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_NE(page.find("a &lt; b"), std::string::npos);
  EXPECT_NE(page.find("large &amp; wide"), std::string::npos);
  EXPECT_EQ(page.find("large & wide"), std::string::npos);
}

TEST(Charts, LeaveOutWhatHasNoPlace) {
  const std::string chart =
      line_chart({"t", "x", "y", false, true}, {{"s", {{1, 0}, {2, 10}, {3, 1.0 / 0.0 * 0}}}});
  std::size_t dots = 0;
  for (std::size_t at = 0; (at = chart.find("<circle", at)) != std::string::npos; ++at) ++dots;
  EXPECT_EQ(dots, 1u);
  EXPECT_EQ(chart.find("nan"), std::string::npos);
  EXPECT_EQ(chart.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace convoy::testing
