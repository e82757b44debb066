// What the configuration's tests share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/config/config.h"

namespace convoy::testing {

/// The shortest valid configuration; tests append to it. Its model stands on lines 1 to 3.
inline const std::string minimal = "model:\n  input: [1, 28, 28]\n  layers: [flatten, linear: 10]\n";

inline Config parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_config(text, "net.yaml", overrides);
}

/// The message that the text is refused with; fails the test when it is accepted or the exit code is not 2.
inline std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse(text, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  ADD_FAILURE() << "accepted:\n" << text;
  return "";
}

/// The one layer of a model that has only this.
inline LayerConfig layer(const std::string& text) {
  const Config config = parse("model:\n  input: [1, 28, 28]\n  layers:\n    - " + text + "\n");
  EXPECT_EQ(config.model.layers.size(), 1u);
  return config.model.layers.at(0);
}

inline std::string layer_refusal(const std::string& text) {
  return refusal("model:\n  input: [1, 28, 28]\n  layers:\n    - " + text + "\n");
}

}  // namespace convoy::testing
