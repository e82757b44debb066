#include "comm/mpi_communicator.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "comm/mpi_group.h"
#include "comm/mpi_library.h"
#include "core/error.h"

namespace convoy {
namespace {

MpiType mpi_type(DType type) {
  switch (type) {
    case DType::f16:
      return MpiType::f16;
    case DType::bf16:
      return MpiType::bf16;
    case DType::f32:
      return MpiType::f32;
    case DType::f64:
      return MpiType::f64;
    default:
      fail("internal error: only floating-point values are summed over ranks");
  }
}

int slice_count(std::int64_t count) {
  check(count <= std::numeric_limits<int>::max(), "slices of more than 2^31 values");
  return static_cast<int>(count);
}

}  // namespace

MpiCommunicator::MpiCommunicator(const RankEnvironment& ranks)
    : mpi_(ranks.group()->mpi), rank_(ranks.rank()), size_(ranks.size()), activity_(ranks.activity()) {
  check_mpi(mpi_, mpi_.duplicate(ranks.group()->comm, comm_));
  thread_.emplace([this] { return test_all(); });
}

MpiCommunicator::~MpiCommunicator() {
  thread_.reset();
  // After an error some sums may never complete; freeing the communicator would then wait for them.
  if (under_way_.empty()) mpi_.release(comm_);
}

void MpiCommunicator::all_reduce_sum_async(void* values, std::int64_t count, DType type) {
  thread_->start([=, this, element = mpi_type(type)] {
    constexpr std::int64_t chunk = std::int64_t{1} << 30;  // counts are ints
    for (std::int64_t first = 0; first < count; first += chunk) {
      MpiRequest& request = under_way_.emplace_back();
      check_mpi(mpi_, mpi_.start_all_reduce(static_cast<std::byte*>(values) + first * size_of(type),
                                            static_cast<int>(std::min(chunk, count - first)), element, comm_,
                                            request));
    }
  });
}

void MpiCommunicator::exchange_slices_async(const void* from, void* to, std::int64_t count, DType type) {
  thread_->start([=, this, n = slice_count(count), element = mpi_type(type)] {
    check_mpi(mpi_, mpi_.start_exchange(from, to, n, element, comm_, under_way_.emplace_back()));
  });
}

void MpiCommunicator::gather_slices_async(void* values, std::int64_t count, DType type) {
  thread_->start([=, this, n = slice_count(count), element = mpi_type(type)] {
    check_mpi(mpi_, mpi_.start_gather(values, n, element, comm_, under_way_.emplace_back()));
  });
}

bool MpiCommunicator::test_all() {
  for (MpiRequest& request : under_way_) {
    bool done = false;
    check_mpi(mpi_, mpi_.test(request, done));  // drives all of them on
    if (!done) return false;
  }
  under_way_.clear();
  return true;
}

void MpiCommunicator::join() {
  const Activity::Waiting waiting(activity_);
  thread_->join();
}

void MpiCommunicator::abort() noexcept {
  mpi_.abort(1);
}

}  // namespace convoy
