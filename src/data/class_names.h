// What classes are called.
#pragma once

#include <string>
#include <vector>

#include "src/config/config.h"

namespace convoy {

/// Of well-known data sets, in the order of the labels; empty for sources whose classes have no names of
/// their own.
std::vector<std::string> known_class_names(Source source);

/// How the names of a checkpoint's classes (`there`) and those of the data at hand (`here`) differ, each in
/// the order of the labels: renamed ones, or the same in another order. Empty where they do not, or where one
/// of them is not known.
std::string class_difference(const std::vector<std::string>& there, const std::vector<std::string>& here);

/// "a, b, c and 4 more". A name that looks the same as one of `others` without being it, as in another
/// Unicode form, is followed by its characters' numbers: "café (cafe\u0301)".
std::string list_of_names(const std::vector<std::string>& names, const std::vector<std::string>& others);

}  // namespace convoy
