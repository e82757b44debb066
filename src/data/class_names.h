// How the names of classes differ.
#pragma once

#include <string>
#include <vector>

namespace convoy {

/// How the names of a checkpoint's classes (`there`) and those of the data at hand (`here`) differ, each in
/// the order of the labels: renamed ones, or the same in another order. Empty where they do not, or where one
/// of them is not known.
std::string class_difference(const std::vector<std::string>& there, const std::vector<std::string>& here);

/// "a, b, c and 4 more". A name that looks the same as one of `others` without being it, as in another
/// Unicode form, is followed by its characters' numbers: "café (cafe\u0301)".
std::string list_of_names(const std::vector<std::string>& names, const std::vector<std::string>& others);

}  // namespace convoy
