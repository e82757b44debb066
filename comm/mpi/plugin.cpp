// The plugin between Convoy and one MPI: compiled once with the mpi.h of each MPI that CMake finds. It is not
// linked with that MPI's library, whose file name differs between builds; the program opens it first.
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "comm/mpi_interface.h"
#include "comm/wait.h"
#include "core/half.h"

namespace convoy {
namespace {

/// MPI's handles are pointers in Open MPI and integers in MPICH.
template <class Handle, class Native>
Handle wrap(Native native) {
  static_assert(sizeof native <= sizeof(Handle));
  Handle handle;
  std::memcpy(&handle.value, &native, sizeof native);
  return handle;
}
template <class Native, class Handle>
Native unwrap(Handle handle) {
  static_assert(sizeof(Native) <= sizeof(Handle));
  Native native;
  std::memcpy(&native, &handle.value, sizeof native);
  return native;
}
MPI_Comm unwrap(MpiComm comm) {
  return unwrap<MPI_Comm>(comm);
}

/// MPI knows no 16-bit floating-point numbers: they travel as integers.
MPI_Datatype native(MpiType type) {
  switch (type) {
    case MpiType::bytes:
      return MPI_BYTE;
    case MpiType::i64:
      return MPI_INT64_T;
    case MpiType::f32:
      return MPI_FLOAT;
    case MpiType::f64:
      return MPI_DOUBLE;
    case MpiType::f16:
    case MpiType::bf16:
      break;
  }
  return MPI_UINT16_T;
}

template <class T>
void add_16_bits(void* in, void* sums, int* count, MPI_Datatype*) {
  const T* terms = static_cast<const T*>(in);
  T* sum = static_cast<T*>(sums);
  for (int i = 0; i < *count; ++i) sum[i] = T(static_cast<float>(sum[i]) + static_cast<float>(terms[i]));
}

class Plugin final : public MpiInterface {
 public:
  int initialise(int* argc, char*** argv, bool& granted) override {
    int provided = 0;
    if (const int status = MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided)) return status;
    granted = provided >= MPI_THREAD_SERIALIZED;
    // By default MPI ends the process with a message that names the rank that noticed, not the one that
    // failed.
    if (const int status = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN)) return status;
    if (const int status = MPI_Op_create(add_16_bits<Half>, /*commute=*/1, &f16_sum_)) return status;
    return MPI_Op_create(add_16_bits<BFloat16>, /*commute=*/1, &bf16_sum_);
  }
  int finalise() override {
    MPI_Op_free(&f16_sum_);
    MPI_Op_free(&bf16_sum_);
    return MPI_Finalize();
  }
  void abort(int exit_code) override { MPI_Abort(MPI_COMM_WORLD, exit_code); }
  void describe(int status, char* text, int size) override {
    std::array<char, MPI_MAX_ERROR_STRING> whole{};
    int length = 0;
    MPI_Error_string(status, whole.data(), &length);
    length = std::clamp(length, 0, size - 1);
    std::memcpy(text, whole.data(), static_cast<std::size_t>(length));
    text[length] = '\0';
  }

  MpiComm world() override { return wrap<MpiComm>(MPI_COMM_WORLD); }
  int rank(MpiComm comm, int& rank) override { return MPI_Comm_rank(unwrap(comm), &rank); }
  int size(MpiComm comm, int& size) override { return MPI_Comm_size(unwrap(comm), &size); }
  int duplicate(MpiComm comm, MpiComm& copy) override {
    return make_comm(copy, [&](MPI_Comm* made) { return MPI_Comm_dup(unwrap(comm), made); });
  }
  int split(MpiComm comm, int color, int key, MpiComm& part) override {
    return make_comm(part, [&](MPI_Comm* made) { return MPI_Comm_split(unwrap(comm), color, key, made); });
  }
  int split_by_host(MpiComm comm, int key, MpiComm& part) override {
    return make_comm(part, [&](MPI_Comm* made) {
      return MPI_Comm_split_type(unwrap(comm), MPI_COMM_TYPE_SHARED, key, MPI_INFO_NULL, made);
    });
  }
  int release(MpiComm& comm) override {
    MPI_Comm freed = unwrap(comm);
    const int status = MPI_Comm_free(&freed);
    comm = wrap<MpiComm>(freed);
    return status;
  }

  int all_reduce(void* values, int count, MpiType type, MpiOp op, MpiComm comm) override {
    return complete([&](MPI_Request* made) {
      return MPI_Iallreduce(MPI_IN_PLACE, values, count, native(type), op == MpiOp::sum ? MPI_SUM : MPI_MAX,
                            unwrap(comm), made);
    });
  }
  int broadcast(void* data, int bytes, int root, MpiComm comm) override {
    return complete(
        [&](MPI_Request* made) { return MPI_Ibcast(data, bytes, MPI_BYTE, root, unwrap(comm), made); });
  }

  int start_barrier(MpiComm comm, MpiRequest& request) override {
    return start(request, [&](MPI_Request* made) { return MPI_Ibarrier(unwrap(comm), made); });
  }
  int start_all_reduce(void* values, int count, MpiType type, MpiComm comm, MpiRequest& request) override {
    const MPI_Op op = type == MpiType::f16 ? f16_sum_ : type == MpiType::bf16 ? bf16_sum_ : MPI_SUM;
    return start(request, [&](MPI_Request* made) {
      return MPI_Iallreduce(MPI_IN_PLACE, values, count, native(type), op, unwrap(comm), made);
    });
  }
  int start_exchange(const void* from, void* to, int count, MpiType type, MpiComm comm,
                     MpiRequest& request) override {
    return start(request, [&](MPI_Request* made) {
      return MPI_Ialltoall(from, count, native(type), to, count, native(type), unwrap(comm), made);
    });
  }
  int start_gather(void* values, int count, MpiType type, MpiComm comm, MpiRequest& request) override {
    return start(request, [&](MPI_Request* made) {
      return MPI_Iallgather(MPI_IN_PLACE, count, native(type), values, count, native(type), unwrap(comm),
                            made);
    });
  }
  int test(MpiRequest& request, bool& done) override {
    auto asked = unwrap<MPI_Request>(request);
    int flag = 0;
    const int status = MPI_Test(&asked, &flag, MPI_STATUS_IGNORE);
    request = wrap<MpiRequest>(asked);
    done = flag != 0;
    return status;
  }

 private:
  /// A communicator that reports errors instead of ending the process.
  template <class Make>
  static int make_comm(MpiComm& result, const Make& make) {
    MPI_Comm made = MPI_COMM_NULL;
    if (const int status = make(&made)) return status;
    result = wrap<MpiComm>(made);
    return MPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN);
  }
  /// Begins something and waits for its end. MPI's blocking calls keep a core busy for as long as they wait.
  template <class Begin>
  static int complete(const Begin& begin) {
    MPI_Request made = MPI_REQUEST_NULL;
    int status = begin(&made), done = 0;
    for (const PatientWait wait; status == MPI_SUCCESS;) {
      status = MPI_Test(&made, &done, MPI_STATUS_IGNORE);
      if (done != 0) break;
      wait.pause();
    }
    return status;
  }
  template <class Begin>
  static int start(MpiRequest& request, const Begin& begin) {
    MPI_Request made = MPI_REQUEST_NULL;
    const int status = begin(&made);
    request = wrap<MpiRequest>(made);
    return status;
  }

  MPI_Op f16_sum_ = MPI_OP_NULL, bf16_sum_ = MPI_OP_NULL;
};

}  // namespace
}  // namespace convoy

extern "C" [[gnu::visibility("default")]] convoy::MpiInterface* convoy_mpi_interface(int version) {
  static convoy::Plugin plugin;
  return version == convoy::MpiInterface::version ? &plugin : nullptr;
}
