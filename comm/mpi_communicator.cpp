#include "comm/mpi_communicator.h"

#include <algorithm>
#include <cstddef>

#include "comm/mpi_check.h"
#include "comm/mpi_group.h"
#include "src/core/error.h"

namespace convoy {
namespace {

MPI_Datatype mpi_type(DType type) {
  check(type == DType::f32 || type == DType::f64, "only f32 and f64 are summed over ranks");
  return type == DType::f32 ? MPI_FLOAT : MPI_DOUBLE;
}

}  // namespace

MpiCommunicator::MpiCommunicator(const RankEnvironment& ranks)
    : rank_(ranks.rank()), size_(ranks.size()), activity_(ranks.activity()) {
  check_mpi(MPI_Comm_dup(ranks.group()->comm, &comm_));
  check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
  thread_.emplace([this] { return test_all(); });
}

MpiCommunicator::~MpiCommunicator() {
  thread_.reset();
  // After an error some sums may never complete; freeing the communicator would then wait for them.
  if (under_way_.empty()) MPI_Comm_free(&comm_);
}

void MpiCommunicator::all_reduce_sum_async(void* values, std::int64_t count, DType type) {
  const MPI_Datatype element = mpi_type(type);
  thread_->start([=, this] {
    constexpr std::int64_t chunk = std::int64_t{1} << 30;  // counts are ints
    for (std::int64_t first = 0; first < count; first += chunk) {
      MPI_Request& request = under_way_.emplace_back(MPI_REQUEST_NULL);
      check_mpi(MPI_Iallreduce(MPI_IN_PLACE, static_cast<std::byte*>(values) + first * size_of(type),
                               static_cast<int>(std::min(chunk, count - first)), element, MPI_SUM, comm_,
                               &request));
    }
  });
}

bool MpiCommunicator::test_all() {
  int done = 0;
  check_mpi(MPI_Testall(static_cast<int>(under_way_.size()), under_way_.data(), &done, MPI_STATUSES_IGNORE));
  if (done != 0) under_way_.clear();
  return done != 0;
}

void MpiCommunicator::join() {
  const Activity::Waiting waiting(activity_);
  thread_->join();
}

void MpiCommunicator::abort() noexcept {
  MPI_Abort(MPI_COMM_WORLD, 1);
}

}  // namespace convoy
