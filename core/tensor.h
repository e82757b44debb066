// What a tensor of a plan is: a range of an arena. No pointer, no shape: calls carry their own shapes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/error.h"
#include "core/half.h"

namespace convoy {

enum class DType : std::uint8_t { f32, f64, f16, bf16, i32, u8 };

constexpr std::int64_t size_of(DType type) {
  switch (type) {
    case DType::f32:
      return 4;
    case DType::f64:
      return 8;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i32:
      return 4;
    case DType::u8:
      return 1;
  }
  return 0;
}
constexpr bool is_float(DType type) {
  return type != DType::i32 && type != DType::u8;
}
constexpr const char* name_of(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "?";
}

template <class T>
constexpr DType dtype_of() {
  using U = std::remove_const_t<T>;
  if constexpr (std::is_same_v<U, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<U, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<U, Half>)
    return DType::f16;
  else if constexpr (std::is_same_v<U, BFloat16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<U, std::int32_t>)
    return DType::i32;
  else {
    static_assert(std::is_same_v<U, std::uint8_t>);
    return DType::u8;
  }
}

/// How products of f32 tensors are computed: as they are, or with operands rounded to TF32 (10 bits of
/// mantissa, 8 of exponent) where the device has tensor cores for it (sm_80 and newer). Sums are f32 in
/// either case.
enum class Math : std::uint8_t { fp32, tf32 };

/// Tensors that share a block begin at multiples of this many elements, so that one constant (a decay factor,
/// a momentum) serves a run of as many.
constexpr std::int64_t parameter_alignment = 64;

/// Memory of a run, by lifetime and use. Each is one allocation whose size the plans fix.
enum class Arena : std::uint8_t {
  none,             ///< the absent tensor
  unplaced,         ///< offset is an identifier; the placement pass replaces it
  parameters,       ///< master weights, in backward order
  compute_weights,  ///< the same in the 16-bit type that products take, where there is one
  average,          ///< moving average of the weights and its compute copy, same layout as parameters
  loss_scale,       ///< what the check of the gradients remembers (kernels/loss_scale.h)
  gradients,        ///< same layout as parameters
  moments,          ///< optimizer state: one or two blocks of the parameters' layout
  statistics,       ///< running mean and variance of BatchNorm
  activations,      ///< everything that lives within one step
  workspace,        ///< scratch of one call
  side_workspace,   ///< the same for calls of the side stream (src/plan/streams.h)
  metrics,          ///< sums of loss and correct answers, read by the host now and then
  reports,          ///< of the last steps (core/step_state.h), where the host sees them at once
  constants,        ///< written once when the plan is loaded
  images,           ///< the data set (N,D,H,W,C) u8, or the staged batches of one that does not fit
  labels,           ///< int32, one per sample of the data set
  order,            ///< int32 sample ids: the epoch's training order, then the validation order
  count
};
constexpr std::size_t arena_count = static_cast<std::size_t>(Arena::count);
constexpr std::array<const char*, arena_count> arena_names = {
    "none",      "unplaced", "parameters", "compute_weights", "average",   "loss_scale",
    "gradients", "moments",  "statistics", "activations",     "workspace", "side_workspace",
    "metrics",   "reports",  "constants",  "images",          "labels",    "order"};
constexpr const char* name_of(Arena arena) {
  return arena_names[static_cast<std::size_t>(arena)];
}

/// A contiguous range of one arena.
struct Tensor {
  Arena arena = Arena::none;
  DType dtype = DType::f32;
  std::int64_t offset = 0;  ///< bytes from the arena's start
  std::int64_t count = 0;   ///< elements
  std::int64_t bytes() const { return count * size_of(dtype); }
  explicit operator bool() const { return arena != Arena::none; }
  bool operator==(const Tensor&) const = default;
};

/// `count` elements of `tensor` from element `first` on.
inline Tensor slice(const Tensor& tensor, std::int64_t first, std::int64_t count) {
  check(first >= 0 && count >= 0 && first + count <= tensor.count, "slice outside its tensor");
  return {tensor.arena, tensor.dtype, tensor.offset + first * size_of(tensor.dtype), count};
}

/// Bytes per arena.
using ArenaSizes = std::array<std::int64_t, arena_count>;

/// Base addresses of the arenas in one memory (host or device); turns a Tensor into a pointer.
class ArenaPointers {
 public:
  void bind(Arena arena, void* base, std::int64_t bytes) {
    base_[static_cast<std::size_t>(arena)] = static_cast<std::byte*>(base);
    bytes_[static_cast<std::size_t>(arena)] = bytes;
  }
  /// Null for the absent tensor; throws when the type or the range does not fit.
  template <class T>
  T* data(const Tensor& tensor) const {
    if (!tensor) return nullptr;
    check(tensor.dtype == dtype_of<T>(), "tensor read as another type");
    return reinterpret_cast<T*>(raw(tensor));
  }
  std::byte* raw(const Tensor& tensor) const {
    const auto i = static_cast<std::size_t>(tensor.arena);
    check(tensor.offset >= 0 && tensor.offset + tensor.bytes() <= bytes_[i], "tensor outside its arena");
    return base_[i] + tensor.offset;
  }
  /// The scratch arena; throws when it is smaller than `bytes`.
  template <class T>
  T* workspace(std::int64_t bytes) const {
    const auto i = static_cast<std::size_t>(Arena::workspace);
    check(bytes <= bytes_[i], "workspace smaller than its call asked for");
    return reinterpret_cast<T*>(base_[i]);
  }

 private:
  std::array<std::byte*, arena_count> base_{};
  ArenaSizes bytes_{};
};

}  // namespace convoy
