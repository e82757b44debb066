// The schema as text: what `convoy keys` prints and docs/configuration.md holds.
#pragma once

#include <cstddef>
#include <string>

namespace convoy {

/// The keys of a section ("train", "layers", "augment"), the arguments of a layer or augmentation ("conv"),
/// or the keys of that name ("train.epochs", "lr"), with defaults, what they accept and what they mean, in
/// lines of `width` characters. Without a topic all of them. Throws Error (exit code 2) that lists the
/// sections for a topic that there is not.
std::string keys_help(const std::string& topic, std::size_t width);

}  // namespace convoy
