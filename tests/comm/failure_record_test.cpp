// failure.json: what it says, and that of many ranks one writes it.
#include "comm/failure_record.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "tests/train/support.h"

namespace convoy::testing {
namespace {

TEST(FailureRecord, OfManyWritersOneWins) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "failure.json";
  std::vector<std::future<RecordOutcome>> writers;
  for (int rank = 0; rank < 8; ++rank) {
    writers.push_back(std::async(std::launch::async, [=] {
      Failure failure;
      failure.rank = rank;
      failure.reason = std::string(1000, static_cast<char>('a' + rank));
      return write_failure_record(path, failure);
    }));
  }
  int winner = -1;
  for (int rank = 0; rank < 8; ++rank) {
    const RecordOutcome outcome = writers[static_cast<std::size_t>(rank)].get();
    if (outcome == RecordOutcome::there) continue;
    EXPECT_EQ(outcome, RecordOutcome::written);
    EXPECT_EQ(winner, -1) << "one alone";
    winner = rank;
  }
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file);
  EXPECT_EQ(json["rank"], winner);
  EXPECT_EQ(json["reason"], std::string(1000, static_cast<char>('a' + winner)));
}

TEST(FailureRecord, SaysWhoWhereWhenAndWhy) {
  const TemporaryFolder folder;
  Failure failure;
  failure.rank = 3;
  failure.host = "node7";
  failure.process.pid = 4321;
  failure.device = "NVIDIA H200";
  failure.step = 1234;
  failure.reason = "caf\xe9 \"x\"\n";  // not UTF-8
  failure.witness = 1;
  failure.time = std::chrono::system_clock::from_time_t(86'400 * 365);
  EXPECT_EQ(write_failure_record(folder.path() / "failure.json", failure), RecordOutcome::written);
  std::ifstream file(folder.path() / "failure.json");
  const auto json = nlohmann::json::parse(file);
  EXPECT_EQ(json["rank"], 3);
  EXPECT_EQ(json["host"], "node7");
  EXPECT_EQ(json["pid"], 4321);
  EXPECT_EQ(json["device"], "NVIDIA H200");
  EXPECT_EQ(json["step"], 1234);
  EXPECT_EQ(json["reason"], "caf\xef\xbf\xbd \"x\"\n");
  EXPECT_EQ(json["witness"], 1);
  EXPECT_EQ(json["time"], "1971-01-01T00:00:00Z");
  EXPECT_EQ(describe(failure).substr(0, 63),
            "rank 3 on host node7 (pid 4321, NVIDIA H200) failed in step 123");
}

TEST(FailureRecord, WhereTheFolderIsNotThereNothingIsWritten) {
  const TemporaryFolder folder;
  EXPECT_EQ(write_failure_record(folder.path() / "none" / "failure.json", {}), RecordOutcome::impossible);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace convoy::testing
