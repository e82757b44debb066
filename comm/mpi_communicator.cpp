#include "comm/mpi_communicator.h"

#include <algorithm>
#include <cstddef>

#include "comm/mpi_check.h"
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
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_));
}

MpiCommunicator::~MpiCommunicator() {
  // After an error some requests may never complete; freeing the communicator would then wait for them.
  if (pending_.empty() && comm_ != MPI_COMM_NULL) MPI_Comm_free(&comm_);
}

void MpiCommunicator::all_reduce_sum_async(void* values, std::int64_t count, DType type) {
  int done = 0;
  if (!pending_.empty()) {
    check_mpi(MPI_Testall(static_cast<int>(pending_.size()), pending_.data(), &done, MPI_STATUSES_IGNORE));
  }
  constexpr std::int64_t chunk = std::int64_t{1} << 30;  // counts are ints
  for (std::int64_t first = 0; first < count; first += chunk) {
    MPI_Request& request = pending_.emplace_back(MPI_REQUEST_NULL);
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, static_cast<std::byte*>(values) + first * size_of(type),
                             static_cast<int>(std::min(chunk, count - first)), mpi_type(type), MPI_SUM, comm_,
                             &request));
  }
}

void MpiCommunicator::join() {
  const Activity::Waiting waiting(activity_);
  check_mpi(MPI_Waitall(static_cast<int>(pending_.size()), pending_.data(), MPI_STATUSES_IGNORE));
  pending_.clear();
}

void MpiCommunicator::abort() noexcept {
  MPI_Abort(MPI_COMM_WORLD, 1);
}

}  // namespace convoy
