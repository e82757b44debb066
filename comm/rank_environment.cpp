#include "comm/rank_environment.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "comm/mpi_check.h"
#include "comm/mpi_group.h"
#include "src/core/error.h"

namespace convoy {
namespace {

/// The number of ranks the launcher claims to have started, 0 when there is none.
int launched_ranks() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    if (const char* value = std::getenv(name)) return std::atoi(value);
  }
  // srun: a step of several tasks; with PMIx it also sets PMIX_RANK.
  if (std::getenv("SLURM_STEP_ID") && std::getenv("SLURM_STEP_NUM_TASKS")) {
    return std::atoi(std::getenv("SLURM_STEP_NUM_TASKS"));
  }
  return std::getenv("PMIX_RANK") ? 1 : 0;
}

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

RankEnvironment::RankEnvironment(int* argc, char*** argv) : host_(host_name()) {
  const int launched = launched_ranks();
  if (launched == 0) return;
  int provided = 0;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided));
  mpi_ = true;
  // By default MPI ends the process with a message that names the rank that noticed, not the one that failed.
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  group_ = std::make_shared<MpiGroup>();
  find_place();
  if (provided < MPI_THREAD_SERIALIZED) fail("this MPI was built without support for threads");
  if (launched > 1 && size_ == 1) {
    fail(
        "the launcher started {} ranks, but MPI sees one: launcher and library belong to different MPIs, or "
        "srun was called without --mpi=pmix",
        launched);
  }
}

RankEnvironment::RankEnvironment(const RankEnvironment& all, int count) : host_(all.host_) {
  if (all.group_ == nullptr) return;
  MpiGroup group;
  check_mpi(MPI_Comm_split(all.group_->comm, all.rank_ < count ? 0 : 1, all.rank_, &group.comm));
  group_ = std::shared_ptr<MpiGroup>(new MpiGroup(group), [](MpiGroup* mine) {
    MPI_Comm_free(&mine->comm);
    delete mine;
  });
  find_place();
}

/// Rank, size, and the same among the ranks of this host.
void RankEnvironment::find_place() {
  check_mpi(MPI_Comm_rank(group_->comm, &rank_));
  check_mpi(MPI_Comm_size(group_->comm, &size_));
  MPI_Comm local;
  check_mpi(MPI_Comm_split_type(group_->comm, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local));
  check_mpi(MPI_Comm_rank(local, &local_rank_));
  check_mpi(MPI_Comm_size(local, &local_size_));
  check_mpi(MPI_Comm_free(&local));
}

RankEnvironment::~RankEnvironment() {
  if (mpi_) MPI_Finalize();
}

void RankEnvironment::sum(std::span<double> values) const {
  if (size_ == 1) return;
  const Activity::Waiting waiting(activity_);
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_SUM,
                          group_->comm));
}

std::int64_t RankEnvironment::max(std::int64_t value) const {
  if (size_ == 1) return value;
  const Activity::Waiting waiting(activity_);
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MAX, group_->comm));
  return value;
}

void RankEnvironment::broadcast(void* data, std::size_t bytes, int root) const {
  if (size_ == 1) return;
  const Activity::Waiting waiting(activity_);
  constexpr std::size_t chunk = std::size_t{1} << 30;  // counts are ints
  for (std::size_t done = 0; done < bytes; done += chunk) {
    check_mpi(MPI_Bcast(static_cast<char*>(data) + done, static_cast<int>(std::min(chunk, bytes - done)),
                        MPI_BYTE, root, group_->comm));
  }
}

int RankEnvironment::first_with(bool so) const {
  return size_ - static_cast<int>(max(so ? size_ - rank_ : 0));
}

std::string RankEnvironment::text_of(int rank, const std::string& mine) const {
  std::string text = mine;
  std::uint64_t length = text.size();
  broadcast(&length, sizeof length, rank);
  text.resize(length);
  broadcast(text.data(), length, rank);
  return text;
}

std::vector<std::string> RankEnvironment::gather(const std::string& mine) const {
  std::vector<std::string> texts;
  for (int rank = 0; rank < size_; ++rank) texts.push_back(text_of(rank, mine));
  return texts;
}

std::string RankEnvironment::mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length));
  const std::string whole(text.data(), static_cast<std::size_t>(length));
  return whole.substr(0, whole.find_first_of(",\n"));  // what follows tells how it was built
}

void RankEnvironment::rest() const {
  if (size_ == 1) return;
  MPI_Request arrival = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(group_->comm, &arrival));
  for (int here = 0; here == 0;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    check_mpi(MPI_Test(&arrival, &here, MPI_STATUS_IGNORE));
  }
}

void RankEnvironment::abort(int exit_code) const {
  if (mpi_ && size_ > 1) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace convoy
