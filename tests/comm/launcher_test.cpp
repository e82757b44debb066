// Which MPI a launcher's environment calls for.
#include "comm/launcher.h"

#include <gtest/gtest.h>

#include <map>

#include "core/error.h"

namespace convoy::testing {
namespace {

using Environment = std::map<std::string, const char*>;

Launch launch_in(const Environment& environment) {
  return read_launch([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second;
  });
}

void expect_launch(const Environment& environment, int ranks, const std::vector<MpiKind>& kinds) {
  const Launch launch = launch_in(environment);
  EXPECT_TRUE(launch.launched);
  EXPECT_EQ(launch.ranks, ranks);
  EXPECT_EQ(launch.kinds, kinds);
  EXPECT_EQ(launch.needs_mpi(), ranks != 1);
}

using enum MpiKind;

TEST(Launcher, NoneNeedsNoMpi) {
  const Launch launch = launch_in({});
  EXPECT_FALSE(launch.launched);
  EXPECT_FALSE(launch.needs_mpi());
  EXPECT_EQ(launch.kinds, (std::vector{open_mpi, mpich}));
  EXPECT_FALSE(launch_in({{"SLURM_JOB_ID", "7"}}).needs_mpi());  // a batch script's own process
}

TEST(Launcher, SaysWhichMpiItSpeaks) {
  expect_launch({{"OMPI_COMM_WORLD_SIZE", "4"}, {"PMIX_RANK", "0"}}, 4, {open_mpi});
  expect_launch({{"OMPI_COMM_WORLD_SIZE", "1"}}, 1, {open_mpi});
  expect_launch({{"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}}, 2, {mpich});
  expect_launch({{"MV2_COMM_WORLD_SIZE", "2"}}, 2, {mpich});
}

TEST(Launcher, OfABatchSystemLeavesAChoice) {
  const Environment step = {{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "8"}};
  const auto with = [&](Environment more) {
    more.insert(step.begin(), step.end());
    return more;
  };
  expect_launch(step, 8, {open_mpi, mpich});
  expect_launch(with({{"PMIX_RANK", "3"}}), 8, {open_mpi, mpich});
  expect_launch(with({{"PMI_SIZE", "8"}, {"PMI_RANK", "3"}}), 8, {mpich, open_mpi});
  // Launchers of MPI that Slurm started.
  expect_launch(with({{"PMI_SIZE", "4"}, {"MPI_LOCALNRANKS", "2"}}), 4, {mpich});
  expect_launch(with({{"OMPI_COMM_WORLD_SIZE", "4"}}), 4, {open_mpi});
  expect_launch({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}, 1, {open_mpi, mpich});
  expect_launch({{"PMI_SIZE", "2"}, {"FLUX_JOB_ID", "f1"}}, 2, {mpich, open_mpi});
  expect_launch({{"PMIX_RANK", "0"}}, 0, {open_mpi, mpich});  // of so many ranks
}

TEST(Launcher, WithoutMpiIsRefused) {
  const auto expect_refused = [](const Environment& environment, const char* name) {
    try {
      launch_in(environment);
      ADD_FAILURE() << name << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      const std::string what = error.what();
      EXPECT_NE(what.find(name), std::string::npos) << what;
      EXPECT_NE(what.find("mpirun -np 2 convoy"), std::string::npos) << what;
    }
  };
  Environment torch = {{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"LOCAL_RANK", "1"}};
  expect_refused(torch, "torchrun or a launcher like it");
  torch["TORCHELASTIC_RUN_ID"] = "none";
  expect_refused(torch, "torchrun started");
  expect_refused({{"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"CROSS_SIZE", "1"}}, "deepspeed");
  expect_refused({{"WORLD_SIZE", "2"}, {"ACCELERATE_MIXED_PRECISION", "no"}}, "accelerate launch");
  expect_refused({{"HOROVOD_SIZE", "2"}, {"HOROVOD_RANK", "0"}}, "horovodrun");
  expect_refused({{"FLUX_JOB_SIZE", "2"}, {"FLUX_TASK_RANK", "0"}}, "flux run");
  // One process, a lone leftover, and where MPI's launcher is there as well.
  EXPECT_FALSE(launch_in({{"WORLD_SIZE", "1"}, {"RANK", "0"}}).needs_mpi());
  EXPECT_FALSE(launch_in({{"WORLD_SIZE", "2"}}).needs_mpi());
  torch["OMPI_COMM_WORLD_SIZE"] = "2";
  expect_launch(torch, 2, {open_mpi});
  expect_launch({{"JSM_NAMESPACE_SIZE", "4"}}, 4, {open_mpi});
}

TEST(Launcher, IsOverruledByTheUser) {
  expect_launch({{"OMPI_COMM_WORLD_SIZE", "4"}, {"CONVOY_MPI", "mpich"}}, 4, {mpich});
  expect_launch({{"PMI_SIZE", "4"}, {"CONVOY_MPI", "openmpi"}}, 4, {open_mpi});
  EXPECT_EQ(launch_in({{"CONVOY_MPI", "/opt/cray/libmpi_gnu.so.12"}}).library, "/opt/cray/libmpi_gnu.so.12");
  try {
    launch_in({{"CONVOY_MPI", "lam"}});
    FAIL() << "it took lam";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("openmpi, mpich"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace convoy::testing
