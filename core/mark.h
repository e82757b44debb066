// Where a value of a configuration stands, for messages.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>

namespace convoy {

/// "configs/x.yaml:12" or "command line: train.epochs=5".
struct Mark {
  std::shared_ptr<const std::string> source;  ///< one for all values of a file or an override
  int line = 0;                               ///< from 1; 0: none
  std::string text() const {
    const std::string name = source ? *source : "";
    return line > 0 ? fmt::format("{}:{}", name, line) : name;
  }
};

}  // namespace convoy
