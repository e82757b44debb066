// What is read out of runs' folders, broken ones included.
#include "src/run/run_list.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

class RunList : public ::testing::Test {
 protected:
  fs::path run(const std::string& name) {
    fs::create_directories(folder_.path() / name);
    write(name, "config.yaml", to_yaml(tiny_config({"train.epochs=3"})));
    return folder_.path() / name;
  }
  void write(const std::string& run, const std::string& file, const std::string& text) {
    std::ofstream(folder_.path() / run / file) << text;
  }
  static std::string epoch(int number, double accuracy) {
    return fmt::format(
        R"({{"epoch":{},"step":{},"train_loss":0.5,"train_accuracy":0.8,"val_loss":0.25,"val_accuracy":{},"lr":0.1,)"
        R"("images_per_second":1000,"seconds":2}})"
        "\n",
        number, 10 * number, accuracy);
  }
  TemporaryFolder folder_;
};

TEST_F(RunList, ARunThatIsDone) {
  const fs::path folder = run("done");
  write("done", "metrics.jsonl",
        R"({"event":"step","epoch":1,"step":3,"loss":9,"accuracy":0.99})"
        "\n" +
            epoch(1, 0.9) + epoch(2, 0.7) +
            R"({"event":"summary","epoch":2,"val_accuracy":0.7,"seconds":5.5,"ranks":4,"engine":"cpu",)"
            R"("test_accuracy":0.65,"signs":["clipped"]})"
            "\n");
  const RunFigures figures = read_run(folder);
  EXPECT_EQ(figures.state, RunState::finished);
  EXPECT_EQ(figures.network, "tiny");
  EXPECT_EQ(figures.epochs_done, 2);
  EXPECT_EQ(figures.epochs, 3);
  EXPECT_EQ(figures.best_val_accuracy, 0.9);
  EXPECT_EQ(figures.val_accuracy, 0.7);
  EXPECT_EQ(figures.test_accuracy, 0.65);
  EXPECT_EQ(figures.train_loss, 0.5);
  EXPECT_EQ(figures.seconds, 5.5);
  EXPECT_EQ(figures.ranks, 4);
  EXPECT_EQ(figures.engine, "cpu");
  EXPECT_EQ(figures.notes, std::vector<std::string>{"clipped"});
}

TEST_F(RunList, ARunThatWasDoneAndIsResumedForMore) {
  const fs::path folder = run("more");
  const std::string summary = "{\"event\":\"summary\",\"epoch\":1,\"seconds\":7}\n";
  write("more", "metrics.jsonl", epoch(1, 0.5) + summary + epoch(2, 0.6));
  EXPECT_EQ(read_run(folder).state, RunState::stopped) << "in the second part";
  EXPECT_EQ(read_run(folder).seconds, 4) << "of the epochs";
  write("more", "metrics.jsonl", epoch(1, 0.5) + summary + epoch(2, 0.6) + summary);
  EXPECT_EQ(read_run(folder).state, RunState::finished);
}

TEST_F(RunList, ARunThatGoesOnStopsOrFails) {
  const fs::path folder = run("other");
  write("other", "metrics.jsonl", epoch(1, 0.5));
  EXPECT_EQ(read_run(folder).state, RunState::stopped);
  {
    Console console(RankEnvironment::alone(), 10);
    console.log_to(folder / "train.log");
    EXPECT_EQ(read_run(folder).state, RunState::running);
  }
  EXPECT_EQ(read_run(folder).state, RunState::stopped);
  write("other", "failure.json", R"({"rank":1,"reason":"died\nhere"})");
  EXPECT_EQ(read_run(folder).state, RunState::failed);
  EXPECT_EQ(read_run(folder).notes, std::vector<std::string>{"died"});
  EXPECT_EQ(read_run(folder).seconds, 2);
}

TEST_F(RunList, WhatIsBrokenIsSaid) {
  const fs::path folder = run("broken");
  write("broken", "config.yaml", "name: [");
  write("broken", "metrics.jsonl",
        epoch(1, 0.5) + "{\"epoch\":2,\"val_acc\nnull\n" +
            R"({"epoch":"x","val_accuracy":null,"seconds":[]})" + "\n");
  write("broken", "failure.json", "no JSON");
  const RunFigures figures = read_run(folder);
  EXPECT_EQ(figures.epochs_done, 1);
  EXPECT_FALSE(figures.epochs.has_value());
  ASSERT_EQ(figures.notes.size(), 3u);
  EXPECT_EQ(figures.notes[0].rfind("config.yaml cannot be read", 0), 0u) << figures.notes[0];
  EXPECT_EQ(figures.notes[1], "metrics.jsonl: 2 broken lines");
  EXPECT_EQ(figures.notes[2].rfind("failure.json cannot be read", 0), 0u) << figures.notes[2];
}

TEST_F(RunList, FindsRunsInsideFolders) {
  run("a");
  run("sweep/b");
  run("sweep/b/inner");
  fs::create_directories(folder_.path() / "nothing");
  fs::last_write_time(folder_.path() / "a" / "config.yaml",
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  const std::vector<RunFigures> runs = list_runs(folder_.path());
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].name, "sweep/b");
  EXPECT_EQ(runs[1].name, "a");
  EXPECT_EQ(list_runs(folder_.path() / "a").size(), 1u);
  EXPECT_TRUE(list_runs(folder_.path() / "nothing").empty());
}

}  // namespace
}  // namespace convoy::testing
