// What the classes of well-known data sets are called.
#pragma once

#include <string>
#include <vector>

#include "src/config/config.h"

namespace convoy {

/// In the order of the labels; empty for sources whose classes have no names of their own.
std::vector<std::string> known_class_names(Source source);

}  // namespace convoy
