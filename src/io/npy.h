// Arrays as NumPy's save() and savez() write them.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/io/shared_bytes.h"

namespace convoy {

struct NpyArray {
  std::string type;  ///< as NumPy writes it without the order of bytes: "u1", "i8", "f4"
  std::vector<std::int64_t> shape;
  SharedBytes values;  ///< little-endian, the last axis fastest

  std::int64_t count() const;
};

/// Reads an array. Throws Error that begins with `name` for anything else, for arrays in Fortran's order or
/// with the high byte first, and for one of another size than its header says; `whole` false reads the header
/// and leaves `values` empty.
NpyArray read_npy(const SharedBytes& bytes, const std::string& name, bool whole = true);

/// The values of an array of integers. Throws Error that begins with `name` where it holds something else.
std::vector<std::int64_t> integers_of(const NpyArray& array, const std::string& name);

}  // namespace convoy
