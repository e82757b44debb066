// Standard output. For every command but `train` it is the product: what of it cannot be written fails the
// command.
#pragma once

namespace convoy {

/// Takes the numbers of closed descriptors among 0, 1 and 2, so that no file that is opened later gets one.
/// Writing to a standard output that was closed still fails. Called first in main. Throws Error.
void hold_standard_descriptors();

/// Writes what was printed. Throws Error where that, or something before it, cannot be written.
void flush_output();

/// Where something of the output was lost: whether that is because nobody reads it any more, as of
/// `convoy keys | head -1`.
bool reader_of_output_is_gone();

}  // namespace convoy
