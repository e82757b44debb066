#include "comm/mpi_communicator.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "comm/mpi_check.h"
#include "comm/mpi_group.h"
#include "src/core/error.h"

namespace convoy {
namespace {

MPI_Datatype mpi_type(DType type) {
  check(is_float(type), "only floating-point values are summed over ranks");
  if (size_of(type) == 2) return MPI_UINT16_T;
  return type == DType::f32 ? MPI_FLOAT : MPI_DOUBLE;
}

template <class T>
void add_16_bits(void* in, void* sums, int* count, MPI_Datatype*) {
  const T* terms = static_cast<const T*>(in);
  T* sum = static_cast<T*>(sums);
  for (int i = 0; i < *count; ++i) sum[i] = T(static_cast<float>(sum[i]) + static_cast<float>(terms[i]));
}

int slice_count(std::int64_t count) {
  check(count <= std::numeric_limits<int>::max(), "slices of more than 2^31 values");
  return static_cast<int>(count);
}

}  // namespace

HalfSum::HalfSum(MPI_User_function* add) {
  check_mpi(MPI_Op_create(add, /*commute=*/1, &op_));
}
HalfSum::~HalfSum() {
  MPI_Op_free(&op_);
}

MpiCommunicator::MpiCommunicator(const RankEnvironment& ranks)
    : f16_sum_(add_16_bits<Half>),
      bf16_sum_(add_16_bits<BFloat16>),
      rank_(ranks.rank()),
      size_(ranks.size()),
      activity_(ranks.activity()) {
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
  const MPI_Op op = type == DType::f16 ? f16_sum_.op() : type == DType::bf16 ? bf16_sum_.op() : MPI_SUM;
  thread_->start([=, this] {
    constexpr std::int64_t chunk = std::int64_t{1} << 30;  // counts are ints
    for (std::int64_t first = 0; first < count; first += chunk) {
      MPI_Request& request = under_way_.emplace_back(MPI_REQUEST_NULL);
      check_mpi(MPI_Iallreduce(MPI_IN_PLACE, static_cast<std::byte*>(values) + first * size_of(type),
                               static_cast<int>(std::min(chunk, count - first)), element, op, comm_,
                               &request));
    }
  });
}

void MpiCommunicator::exchange_slices_async(const void* from, void* to, std::int64_t count, DType type) {
  const MPI_Datatype element = mpi_type(type);
  thread_->start([=, this, n = slice_count(count)] {
    MPI_Request& request = under_way_.emplace_back(MPI_REQUEST_NULL);
    check_mpi(MPI_Ialltoall(from, n, element, to, n, element, comm_, &request));
  });
}

void MpiCommunicator::gather_slices_async(void* values, std::int64_t count, DType type) {
  const MPI_Datatype element = mpi_type(type);
  thread_->start([=, this, n = slice_count(count)] {
    MPI_Request& request = under_way_.emplace_back(MPI_REQUEST_NULL);
    check_mpi(MPI_Iallgather(MPI_IN_PLACE, n, element, values, n, element, comm_, &request));
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
