// Which of the words that are valid are nearest to one that is not.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace convoy {

/// Levenshtein's distance: insertions, deletions and replacements that lead from a to b.
std::size_t edit_distance(const std::string& a, const std::string& b);

/// The words nearest to `text`, the nearest first, `most` of them at most. Of names with dots, those that
/// share a part with it come before the others.
std::vector<std::string> nearest_of(const std::string& text, const std::vector<std::string>& words,
                                    std::size_t most = 3);

}  // namespace convoy
