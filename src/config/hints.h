// What may have been meant: the nearest of the words that are valid, and what other frameworks call them.
#pragma once

#include <string>
#include <vector>

namespace convoy {

/// The word that `text` may stand for, as ` (did you mean "epochs"?)`: one that differs in case or hyphens
/// alone, what another framework's name is here ("gpu" is cuda, "Conv2d" is conv), or the nearest by edit
/// distance. Empty when none is near.
std::string did_you_mean(const std::string& text, const std::vector<std::string>& words);

/// Of full keys ("optimizer.lr"), the one that `name` may stand for: itself, its last part ("lr"), or what
/// another framework calls it ("batch_size" is train.global_batch). Empty when there is none.
std::string key_for(const std::string& name, const std::vector<std::string>& keys);

}  // namespace convoy
