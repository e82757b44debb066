// Arrays of NumPy, made without it.
#pragma once

#include <string>

namespace convoy::testing {

/// As numpy.save() writes an array with this header.
inline std::string npy_file(const std::string& header, const std::string& values) {
  std::string text = header;
  while ((10 + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string out = "\x93NUMPY\x01";
  out += '\0';
  out += static_cast<char>(text.size() & 255);
  out += static_cast<char>(text.size() >> 8);
  return out + text + values;
}
inline std::string npy_header(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

}  // namespace convoy::testing
