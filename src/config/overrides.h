// What the command line changes in a configuration.
#pragma once

#include <string>
#include <vector>

#include "src/config/found_data.h"
#include "src/config/value.h"

namespace convoy {

/// Sets what "key.path=value" says in `root`, replacing a section as a whole when the value is one, or
/// removes what "~key.path" names, so that it has its default. Entries of lists are counted from 0, in either
/// form: "model.layers.0.conv.kernel=5", "model.layers[0].conv.kernel=5". Throws Error (exit code 2).
void apply_override(Value& root, const std::string& assignment);

/// Removes keys of the file that do not go with what the command line says in their section: `momentum` after
/// optimizer.name=adamw. Returns a sentence for each condition that keys of a section lack.
std::vector<std::string> drop_replaced(Value& root);

/// parse_config and load_config, which add to `notes` a sentence for what they fill in or leave out. With
/// `find_data`, what the configuration does not say of its data set is looked up.
Config parse_config(const std::string& text, const std::string& name,
                    const std::vector<std::string>& overrides, std::vector<std::string>& notes,
                    const FindData& find_data = {});
Config load_config(const std::string& path, const std::vector<std::string>& overrides,
                   std::vector<std::string>& notes, const FindData& find_data = {});

}  // namespace convoy
