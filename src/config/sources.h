// What keys and messages say of data sets, made of their list (src/data/sets/all.h).
#pragma once

#include <string>

#include "src/config/codec.h"
#include "src/data/sets/all.h"

namespace convoy {

/// data.source
Codec<Source> source_name();
std::string source_help();

/// "folder | packed", with " | " as `between`: the names of those of which `is` is true.
std::string names_of_sources(bool (*is)(Source), const char* between);

}  // namespace convoy
