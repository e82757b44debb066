// The functions of MPI that Convoy uses, without mpi.h: handles differ between MPIs, so a plugin for each of
// them (comm/mpi/plugin.cpp) translates. The program opens the one that its launcher belongs to
// (mpi_library.h).
#pragma once

#include <cstdint>

namespace convoy {

/// A communicator of MPI. The value means something to the plugin alone.
struct MpiComm {
  std::uintptr_t value = 0;
};
/// A non-blocking call of MPI that is under way.
struct MpiRequest {
  std::uintptr_t value = 0;
};

enum class MpiType { bytes, i64, f32, f64, f16, bf16 };
enum class MpiOp { sum, max };

/// Calls return MPI's status, 0 for success, and never throw. Counts are of values. None of them owns memory
/// that crosses the boundary.
class MpiInterface {
 public:
  /// To be raised with every change of this file. The program refuses a plugin with another one.
  static constexpr int version = 1;

  /// For one thread at a time; `granted` says whether MPI allows several threads to take turns.
  virtual int initialise(int* argc, char*** argv, bool& granted) = 0;
  virtual int finalise() = 0;
  /// Ends every rank.
  virtual void abort(int exit_code) = 0;
  /// Writes the text for a status, cut to `size` bytes with the closing zero.
  virtual void describe(int status, char* text, int size) = 0;

  virtual MpiComm world() = 0;
  virtual int rank(MpiComm comm, int& rank) = 0;
  virtual int size(MpiComm comm, int& size) = 0;
  /// Collective: the same ranks, whose calls do not meet those on `comm`.
  virtual int duplicate(MpiComm comm, MpiComm& copy) = 0;
  /// Collective: the ranks with the same `color`, in the order of `key`.
  virtual int split(MpiComm comm, int color, int key, MpiComm& part) = 0;
  /// Collective: the ranks of this host, in the order of `key`.
  virtual int split_by_host(MpiComm comm, int key, MpiComm& part) = 0;
  virtual int release(MpiComm& comm) = 0;

  /// In place. Types are f64 and i64.
  virtual int all_reduce(void* values, int count, MpiType type, MpiOp op, MpiComm comm) = 0;
  virtual int broadcast(void* data, int bytes, int root, MpiComm comm) = 0;

  /// These return at once. test() makes them progress and says whether they are done. Types are
  /// floating-point.
  virtual int start_barrier(MpiComm comm, MpiRequest& request) = 0;
  /// A sum, in place. Each sum of 16-bit values is rounded to 16 bits.
  virtual int start_all_reduce(void* values, int count, MpiType type, MpiComm comm, MpiRequest& request) = 0;
  /// `count` values from each rank to each rank.
  virtual int start_exchange(const void* from, void* to, int count, MpiType type, MpiComm comm,
                             MpiRequest& request) = 0;
  /// `values` has `count` values of each rank; this rank's are in their place already.
  virtual int start_gather(void* values, int count, MpiType type, MpiComm comm, MpiRequest& request) = 0;
  /// A request that is done may be tested again.
  virtual int test(MpiRequest& request, bool& done) = 0;

 protected:
  ~MpiInterface() = default;  ///< the plugin's, for as long as the process
};

/// What a plugin exports under this name: its interface, or null when it has another version than `version`.
using MpiPluginEntry = MpiInterface*(int version);
inline constexpr const char* mpi_plugin_entry = "convoy_mpi_interface";

}  // namespace convoy
