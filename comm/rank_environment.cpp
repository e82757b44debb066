#include "comm/rank_environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>

#include "comm/launcher.h"
#include "comm/mpi_group.h"
#include "comm/mpi_library.h"
#include "comm/wait.h"
#include "core/error.h"

namespace convoy {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

RankEnvironment::RankEnvironment() = default;

RankEnvironment::RankEnvironment(int* argc, char*** argv) : host_(host_name()) {
  const Launch launch = read_launch();
  if (!launch.needs_mpi()) return;
  auto library = std::make_unique<MpiLibrary>(launch);
  MpiInterface& mpi = library->calls();
  bool threads = false;
  check_mpi(mpi, mpi.initialise(argc, argv, threads));
  shorten_naps();  // this thread sleeps while it waits for other ranks
  library_ = std::move(library);
  group_ = std::make_shared<MpiGroup>(MpiGroup{mpi, mpi.world()});
  find_place();
  if (!threads) fail("{} was built without support for threads", library_->describe());
  if (launch.ranks > 1 && size_ == 1) {
    fail(
        "the launcher started {} ranks, but MPI ({}) sees one: launcher and library belong to different MPIs "
        "(CONVOY_MPI=openmpi or mpich chooses), or srun was called without --mpi=pmix",
        launch.ranks, library_->describe());
  }
}

RankEnvironment::RankEnvironment(const RankEnvironment& all, int count) : host_(all.host_) {
  if (all.group_ == nullptr) return;
  MpiInterface& mpi = all.group_->mpi;
  MpiComm part;
  check_mpi(mpi, mpi.split(all.group_->comm, all.rank_ < count ? 0 : 1, all.rank_, part));
  group_ = std::shared_ptr<MpiGroup>(new MpiGroup{mpi, part}, [](MpiGroup* mine) {
    mine->mpi.release(mine->comm);
    delete mine;
  });
  find_place();
}

/// Rank, size, and the same among the ranks of this host.
void RankEnvironment::find_place() {
  MpiInterface& mpi = group_->mpi;
  check_mpi(mpi, mpi.rank(group_->comm, rank_));
  check_mpi(mpi, mpi.size(group_->comm, size_));
  MpiComm local;
  check_mpi(mpi, mpi.split_by_host(group_->comm, rank_, local));
  check_mpi(mpi, mpi.rank(local, local_rank_));
  check_mpi(mpi, mpi.size(local, local_size_));
  check_mpi(mpi, mpi.release(local));
}

RankEnvironment::~RankEnvironment() {
  finalise();
}

void RankEnvironment::finalise() {
  if (library_) library_->calls().finalise();
  library_.reset();
}

void RankEnvironment::sum(std::span<double> values) const {
  if (size_ == 1) return;
  const Activity::Waiting waiting(activity_);
  MpiInterface& mpi = group_->mpi;
  check_mpi(mpi, mpi.all_reduce(values.data(), static_cast<int>(values.size()), MpiType::f64, MpiOp::sum,
                                group_->comm));
}

std::int64_t RankEnvironment::max(std::int64_t value) const {
  if (size_ == 1) return value;
  const Activity::Waiting waiting(activity_);
  MpiInterface& mpi = group_->mpi;
  check_mpi(mpi, mpi.all_reduce(&value, 1, MpiType::i64, MpiOp::max, group_->comm));
  return value;
}

void RankEnvironment::broadcast(void* data, std::size_t bytes, int root) const {
  if (size_ == 1) return;
  const Activity::Waiting waiting(activity_);
  MpiInterface& mpi = group_->mpi;
  constexpr std::size_t chunk = std::size_t{1} << 30;  // counts are ints
  for (std::size_t done = 0; done < bytes; done += chunk) {
    const int count = static_cast<int>(std::min(chunk, bytes - done));
    check_mpi(mpi, mpi.broadcast(static_cast<char*>(data) + done, count, root, group_->comm));
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

std::string RankEnvironment::mpi_version() const {
  return library_ ? library_->version() : std::string{};
}

std::string RankEnvironment::describe_mpi() const {
  return library_ ? library_->describe() : convoy::describe_mpi(read_launch());
}

void RankEnvironment::rest() const {
  if (size_ == 1) return;
  const Activity::Waiting waiting(activity_);
  MpiInterface& mpi = group_->mpi;
  MpiRequest arrival;
  check_mpi(mpi, mpi.start_barrier(group_->comm, arrival));
  for (bool here = false; !here;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    check_mpi(mpi, mpi.test(arrival, here));
  }
}

void RankEnvironment::abort(int exit_code) const {
  if (library_ && size_ > 1) library_->calls().abort(exit_code);
  std::_Exit(exit_code);
}

}  // namespace convoy
