// Tables for other programs.
#pragma once

#include <string>

namespace convoy {

/// A field of comma-separated values, in quotes where it needs them (RFC 4180).
std::string csv_field(const std::string& text);

}  // namespace convoy
