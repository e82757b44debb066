// Lists of files' names that other programs print.
#pragma once

#include <istream>
#include <string>
#include <vector>

namespace convoy {

/// The names in a list: each ends with a NUL byte, if there is one in the list (`find -print0`), else with
/// the line (\n or \r\n). UTF-8's mark at the beginning and empty names are left out. Throws Error for
/// UTF-16, and for more than 256 MiB; `origin` names the list.
std::vector<std::string> read_names(std::istream& list, const std::string& origin);

}  // namespace convoy
