// Where ranks run, over made-up machines.
#include "comm/cores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

/// A /sys of its own.
class FakeSys {
 public:
  const fs::path& path() const { return folder_.path(); }
  void write(const std::string& file, const std::string& line) const {
    fs::create_directories((path() / file).parent_path());
    std::ofstream(path() / file) << line << '\n';
  }
  void device(const std::string& address, int node) const {
    write("bus/pci/devices/" + address + "/numa_node", std::to_string(node));
  }
  void node(int node, const std::string& cores) const {
    write(fmt::format("devices/system/node/node{}/cpulist", node), cores);
  }
  void siblings(int core, const std::string& cores) const {
    write(fmt::format("devices/system/cpu/cpu{}/topology/thread_siblings_list", core), cores);
  }

 private:
  TemporaryFolder folder_;
};

TEST(Cores, AreWrittenAsLinuxWritesThem) {
  for (const char* text : {"0", "0-3", "0-3,8", "1,3,5-6,100-101", ""})
    EXPECT_EQ(to_text(parse_cores(text)), text);
  EXPECT_EQ(parse_cores("4,0-2,1"), (Cores{0, 1, 2, 4}));
  for (const char* text : {"a", "1-", "-1", "3-1", "1,,2", "0-3x", "0-999999999"})
    EXPECT_THROW(parse_cores(text), Error) << text;
}

TEST(Cores, NearADeviceAreThoseOfItsNode) {
  const FakeSys sys;
  sys.device("0000:1b:00.0", 1);
  sys.device("0000:9a:00.0", -1);
  sys.device("0000:9b:00.0", 7);
  sys.node(0, "0-3");
  sys.node(1, "4-7,12-15");
  EXPECT_EQ(to_text(cores_near("0000:1B:00.0", sys.path())), "4-7,12-15") << "as CUDA writes the address";
  EXPECT_TRUE(cores_near("0000:9a:00.0", sys.path()).empty()) << "the firmware does not say";
  EXPECT_TRUE(cores_near("0000:9b:00.0", sys.path()).empty()) << "a node without a list";
  EXPECT_TRUE(cores_near("0000:ff:00.0", sys.path()).empty());
  EXPECT_TRUE(cores_near("", sys.path()).empty());
}

TEST(Cores, AreSharedWithoutPartingHardwareThreads) {
  const FakeSys sys;
  for (int core = 0; core < 6; ++core) {
    for (const int thread : {core, core + 6}) sys.siblings(thread, fmt::format("{},{}", core, core + 6));
  }
  const Cores all = parse_cores("0-11");
  EXPECT_EQ(to_text(share_of(all, 0, 2, sys.path())), "0-2,6-8");
  EXPECT_EQ(to_text(share_of(all, 1, 2, sys.path())), "3-5,9-11");
  for (const int count : {1, 2, 3, 4, 5, 6}) {  // each core is one rank's, sizes differ by a core at most
    Cores together;
    for (int index = 0; index < count; ++index) {
      const Cores share = share_of(all, index, count, sys.path());
      EXPECT_GE(share.size(), 12 / static_cast<std::size_t>(count) / 2 * 2);
      EXPECT_LE(share.size(), 12 / static_cast<std::size_t>(count) / 2 * 2 + 2);
      together.insert(together.end(), share.begin(), share.end());
    }
    std::sort(together.begin(), together.end());
    EXPECT_EQ(together, all) << count;
  }
  EXPECT_EQ(share_of(all, 6, 7, sys.path()), all) << "more ranks than cores: nobody is bound";
}

/// Puts the thread's cores back.
class ScopedBinding {
 public:
  ~ScopedBinding() { bind_to(before_); }

 private:
  Cores before_ = bound_cores();
};

TEST(Cores, OfARankAreBoundAndReadBack) {
  const ScopedBinding restored;
  const Cores permitted = permitted_cores();
  ASSERT_FALSE(permitted.empty());
  bind_to({permitted.back()});
  EXPECT_EQ(bound_cores(), Cores{permitted.back()});
  EXPECT_EQ(permitted_cores(), permitted) << "to look does not change it";
  EXPECT_EQ(bound_cores(), Cores{permitted.back()});
  EXPECT_THROW(bind_to({}), Error);
}

TEST(Cores, BoundBySomebodyElseAreLeftAlone) {
  const Cores permitted = permitted_cores();
  if (permitted.size() < 2) GTEST_SKIP() << "needs two cores";
  const ScopedBinding restored;
  const FakeSys sys;
  sys.device("0000:1b:00.0", 0);
  sys.node(0, to_text({permitted.back()}));
  const RankEnvironment alone = RankEnvironment::alone();
  bind_to({permitted.front()});
  EXPECT_TRUE(bind_near("0000:1B:00.0", alone, sys.path()).empty());
  EXPECT_EQ(bound_cores(), Cores{permitted.front()});
  bind_to(permitted);
  EXPECT_EQ(bind_near("0000:1B:00.0", alone, sys.path()), Cores{permitted.back()});
  EXPECT_EQ(bound_cores(), Cores{permitted.back()});
}

TEST(DistributedCores, AreSharedByTheRanksOfANode) {
  const ScopedBinding restored;
  const FakeSys sys;
  const Cores permitted = permitted_cores();
  bind_to(permitted);
  sys.device("0000:1b:00.0", 0);
  sys.node(0, to_text(permitted));
  // The last rank's device is nowhere: it stays as it is, and the others share without it.
  const int others = std::max(ranks().size() - 1, 1);
  const bool here = ranks().rank() < others;
  const Cores bound = bind_near(here ? "0000:1B:00.0" : "", ranks(), sys.path());
  const Cores expected = here ? share_of(permitted, ranks().rank(), others, sys.path()) : Cores{};
  EXPECT_EQ(bound, expected);
  EXPECT_EQ(bound_cores(), here ? expected : permitted);
}

TEST(Cores, AreSharedByTheRanksThatAreBoundToThem) {
  const int sharing = ranks().local_size(), cores = static_cast<int>(bound_cores().size());
  EXPECT_EQ(spare_cores(ranks()), std::max(1, cores / sharing - 1));
}

TEST(LauncherProblem, IsNamed) {
  const Cores all = parse_cores("0-7");
  const auto problem = [&](std::vector<const char*> bound) {
    std::vector<RankCores> of;
    for (const char* cores : bound) of.push_back({"node1", parse_cores(cores), all});
    return launcher_problem(of);
  };
  EXPECT_EQ(problem({"0-7", "0-7"}), "");
  EXPECT_EQ(problem({"0-3", "4-7"}), "");
  EXPECT_EQ(problem({"0-1", "2-3"}), "") << "half of them";
  EXPECT_NE(problem({"3", "3"}).find("bound all 2 ranks on host node1 to core 3, of 8"), std::string::npos);
  EXPECT_NE(problem({"0-1", "0-1", "0-1"}).find("bound all 3 ranks on host node1 to cores 0-1"),
            std::string::npos);
  EXPECT_NE(problem({"0", "1"}).find("bound the 2 ranks on host node1 to cores 0-1, 2 of 8"),
            std::string::npos);
  EXPECT_NE(problem({"5"}).find("bound the rank on host node1 to core 5, 1 of 8"), std::string::npos);
  const std::vector<RankCores> two_hosts = {{"node1", all, all}, {"node2", {3}, all}};
  EXPECT_NE(launcher_problem(two_hosts).find("on host node2"), std::string::npos) << "each host by itself";
  const std::vector<RankCores> all_there_are = {{"node1", {3}, {3}}, {"node1", {3}, {3}}};
  EXPECT_EQ(launcher_problem(all_there_are), "") << "a control group with one core is no launcher's doing";
}

}  // namespace
}  // namespace convoy::testing
