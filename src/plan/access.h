// Which tensors a call reads and writes, and whether two of them share bytes.
#pragma once

#include <algorithm>
#include <vector>

#include "src/plan/plan.h"

namespace convoy {

/// Absent tensors left out; updated ones are both read and written.
struct Access {
  std::vector<Tensor> read, written;
  void reads(const Tensor& tensor) {
    if (tensor) read.push_back(tensor);
  }
  void writes(const Tensor& tensor) {
    if (tensor) written.push_back(tensor);
  }
  void updates(const Tensor& tensor) { reads(tensor), writes(tensor); }
};

inline Access access_of(const Call& call) {
  Access access;
  visit_tensors(call, access);
  return access;
}

/// The offset of an unplaced tensor is its name.
inline bool overlap(const Tensor& a, const Tensor& b) {
  if (a.arena != b.arena) return false;
  if (a.arena == Arena::unplaced) return a.offset == b.offset;
  return a.offset < b.offset + b.bytes() && b.offset < a.offset + a.bytes();
}
inline bool overlap(const std::vector<Tensor>& all, const Tensor& tensor) {
  return std::any_of(all.begin(), all.end(), [&](const Tensor& t) { return overlap(t, tensor); });
}
inline bool overlap(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::any_of(b.begin(), b.end(), [&](const Tensor& t) { return overlap(a, t); });
}

}  // namespace convoy
