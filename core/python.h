// Which Python runs what needs its packages.
#pragma once

#include <cstdlib>
#include <string>

namespace convoy {

/// The one that the variable CONVOY_PYTHON names, else the python3 on the PATH.
inline std::string chosen_python() {
  const char* chosen = std::getenv("CONVOY_PYTHON");
  return chosen != nullptr && *chosen != '\0' ? chosen : "python3";
}

}  // namespace convoy
