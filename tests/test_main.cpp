// Runs the tests and ends with a plain account of what was skipped and why.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

std::unique_ptr<const RankEnvironment> environment;

/// Collects the skipped tests while they run, names them at the end.
class Summary : public ::testing::EmptyTestEventListener {
 public:
  void OnTestEnd(const ::testing::TestInfo& test) override {
    const ::testing::TestResult& result = *test.result();
    if (!result.Skipped()) return;
    std::string reason = "no reason given";
    for (int i = 0; i < result.total_part_count(); ++i) {
      if (result.GetTestPartResult(i).skipped()) reason = result.GetTestPartResult(i).message();
    }
    while (!reason.empty() && reason.back() == '\n') reason.pop_back();
    const std::string name = fmt::format("{}.{}", test.test_suite_name(), test.name());
    const std::size_t instance = name.find('/', name.find('.'));  // cases of one test share a line
    ++skipped_[{name.substr(0, instance), reason}];
    ++skipped_count_;
  }

  void OnTestProgramEnd(const ::testing::UnitTest& program) override {
    for (const auto& [test, count] : skipped_) {
      fmt::print("skipped: {} ({} case{}): {}\n", test.first, count, count == 1 ? "" : "s", test.second);
    }
    fmt::print("convoy_tests: {} passed, {} failed, {} skipped\n", program.successful_test_count(),
               program.failed_test_count(), skipped_count_);
  }

 private:
  std::map<std::pair<std::string, std::string>, int> skipped_;  ///< (test, reason) -> cases
  int skipped_count_ = 0;
};

}  // namespace

const RankEnvironment& ranks() {
  return *environment;
}

}  // namespace convoy::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  // Caches of the person who runs the tests neither decide nor change.
  const convoy::testing::TemporaryFolder cache;
  setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  convoy::testing::environment = std::make_unique<convoy::RankEnvironment>(&argc, &argv);
  ::testing::UnitTest::GetInstance()->listeners().Append(new convoy::testing::Summary);  // gtest owns it
  const int result = RUN_ALL_TESTS();
  convoy::testing::environment.reset();
  return result;
}
