// Text in lines of a terminal's width.
#pragma once

#include <cstddef>
#include <string>

namespace convoy {

/// `text` in lines of at most `width` characters, broken at spaces; a longer word has a line of its own. The
/// first line begins at column `at`, which something else has been written up to; the others are indented by
/// `indent` spaces. No line feed at the end. Line feeds in the text are kept.
std::string wrapped(const std::string& text, std::size_t width, std::size_t at = 0, std::size_t indent = 0);

/// Characters in a line of the terminal that standard output goes to, at least 60 and at most 100; 80 where
/// it goes elsewhere.
std::size_t output_width();

}  // namespace convoy
