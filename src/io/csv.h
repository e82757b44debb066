// Tables for other programs.
#pragma once

#include <string>

namespace convoy {

/// A field of comma-separated values: printable, in quotes where it needs them (RFC 4180). Where a
/// spreadsheet would run it as a formula (=, +, -, @ first, and no number), an apostrophe stands before it.
std::string csv_field(const std::string& foreign);

}  // namespace convoy
