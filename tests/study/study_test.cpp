// A study's file: what it makes of axes, and what it refuses.
#include "src/study/study.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "tests/source_dir.h"
#include "tests/temporary_folder.h"

namespace convoy::testing {
namespace {

constexpr const char* network = R"(
data: {source: digits}
model: {input: [1, 28, 28], layers: [conv: {out: 4, kernel: 3}, relu, flatten, linear: 10]}
)";

class StudyFiles : public ::testing::Test {
 protected:
  Study load(const std::string& text, bool quick = false) {
    write_file_atomically(folder_.path() / "net.yaml", network);
    write_file_atomically(folder_.path() / "study.yaml", text);
    return load_study(folder_.path() / "study.yaml", quick);
  }
  std::string refusal(const std::string& text) {
    try {
      load(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "";
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(StudyFiles, MultiplyTheirAxes) {
  const Study study = load(R"(
networks: {a: net.yaml, b: {config: net.yaml, set: [train.global_batch=32]}}
vary: {model.layers.0.conv.kernel: [3, 5, 7]}
set: [train.epochs=2]
engines: [reference, {cpu: {threads: [1, 2], ranks: [1, 3]}}, {cuda: {precision: [fp32, fp16]}}, {pytorch-cpu: {mode: compile}}]
)");
  ASSERT_EQ(study.variants.size(), 6u);
  EXPECT_EQ(study.variants[1].name, "a, kernel 5");
  EXPECT_EQ(
      study.variants[5].overrides,
      (std::vector<std::string>{"train.global_batch=32", "model.layers.0.conv.kernel=7", "train.epochs=2"}));
  std::vector<std::string> engines;
  for (const StudyEngine& engine : study.engines) engines.push_back(engine.name());
  EXPECT_EQ(engines, (std::vector<std::string>{"reference", "cpu, 1 thread", "cpu, 2 threads",
                                               "cpu, 1 thread, 3 ranks", "cpu, 2 threads, 3 ranks",
                                               "cuda fp32", "cuda fp16", "PyTorch cpu compile"}));
}

TEST_F(StudyFiles, AloneIsCalledByItsNetwork) {
  EXPECT_EQ(load("{networks: {a: net.yaml}, engines: [cpu]}").variants[0].name, "a");
}

TEST_F(StudyFiles, QuickIsOneRoundOfOneSeed) {
  const Study study =
      load("{networks: {a: net.yaml}, engines: [cpu], seeds: [4, 5], rounds: 9, seconds: 5}", true);
  EXPECT_EQ(study.rounds, 1);
  EXPECT_EQ(study.seeds, std::vector<int>{4});
  EXPECT_EQ(study.variants[0].overrides, std::vector<std::string>{"train.epochs=1"});
}

TEST_F(StudyFiles, RefuseAnAxisThatChangesNothing) {
  const std::string what =
      refusal("networks: {a: net.yaml}\nvary: {model.layers.0.conv.out: [8, 8]}\nengines: [cpu]\n");
  EXPECT_NE(what.find("study.yaml:2"), std::string::npos) << what;
  EXPECT_NE(what.find("are one configuration"), std::string::npos) << what;
}

TEST_F(StudyFiles, NameWhatTheyDoNotKnow) {
  EXPECT_NE(refusal("{networks: {a: net.yaml}, engines: [gpu]}").find("unknown engine \"gpu\""),
            std::string::npos);
  EXPECT_NE(refusal("{networks: {a: net.yaml}, engines: [cpu, cpu]}").find("cpu is there twice"),
            std::string::npos);
  EXPECT_NE(refusal("{networks: {a: none.yaml}, engines: [cpu]}").find("none.yaml"), std::string::npos);
  EXPECT_NE(refusal("{networks: {a: net.yaml}, engines: [cpu], round: 3}").find("rounds"), std::string::npos);
  EXPECT_NE(refusal("{networks: {a: net.yaml}, engines: [cpu], vary: {train.epoch: [1, 2]}}")
                .find("did you mean \"epochs\""),
            std::string::npos);
}

TEST(ShippedStudies, CanBeRead) {
  for (const char* name : {"quick", "founding", "filters", "scaling"}) {
    const Study study = load_study(
        std::filesystem::path(CONVOY_SOURCE_DIR) / "configs" / "studies" / (std::string(name) + ".yaml"),
        false);
    EXPECT_FALSE(study.variants.empty()) << name;
    EXPECT_FALSE(study.title.empty()) << name;
  }
}

TEST(ShippedStudies, AreExplainedByOneThatCanBeRead) {
  const std::filesystem::path source = CONVOY_SOURCE_DIR;
  std::string text = read_file(source / "docs" / "study.md");
  const std::string fence = "```";
  text = text.substr(text.find(fence + "yaml\n") + 8);
  text.resize(text.find(fence));
  for (std::size_t at; (at = text.find("../mnist")) != std::string::npos;)
    text.replace(at, 3, (source / "configs" / "").string());
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "study.yaml", text);
  const Study study = load_study(folder.path() / "study.yaml", false);
  EXPECT_EQ(study.variants.size(), 12u);
  EXPECT_EQ(study.engines.size(), 15u);
}

TEST(FileNames, HaveNothingThatShellsTakeApart) {
  EXPECT_EQ(file_name_of("LeNet, kernel [3, 5] cpu, 2 threads"), "lenet-kernel-3-5-cpu-2-threads");
  EXPECT_EQ(file_name_of("../../etc/passwd"), "..-..-etc-passwd");
}

}  // namespace
}  // namespace convoy::testing
