// Networks for properties that hold for every plan.
#pragma once

#include <fmt/format.h>

#include <random>
#include <string>

namespace convoy::testing {

/// A random network for (3,8,8) images, as YAML: chains, shortcuts in shortcuts, every kind of layer.
class RandomNetwork {
 public:
  explicit RandomNetwork(unsigned seed) : random_(seed) {}
  std::string yaml() {
    text_.clear();
    chain("    ", 3 + below(5), 2);
    if (size_ % 2 == 0 && below(2) == 0) line("    ", "maxpool: 2");
    line("    ", "globalavgpool");
    if (below(2) == 0) line("    ", "linear: 16"), line("    ", "relu");
    line("    ", "linear: 3");
    return text_;
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  void line(const std::string& indent, const std::string& layer) { text_ += indent + "- " + layer + "\n"; }
  /// Layers that keep the image's size; of a branch also the number of channels.
  void chain(const std::string& indent, int length, int depth) {
    const char* const activations[] = {"relu", "gelu", "tanh", "leaky_relu: 0.1", "relu"};
    for (int i = 0; i < length; ++i) {
      switch (below(depth > 0 ? 6 : 4)) {
        case 0:
        case 1:
          line(indent, fmt::format("conv: {{out: {}, kernel: 3, pad: same, bias: {}}}",
                                   depth == 2 ? channels_ = 4 * (1 + below(3)) : channels_,
                                   below(2) == 0 ? "false" : "true"));
          if (below(2) == 0) line(indent, "batchnorm");
          line(indent, activations[below(5)]);
          break;
        case 2:
          line(indent, "maxpool: {kernel: 3, stride: 1, pad: 1}");
          break;
        case 3:
          line(indent, below(2) == 0 ? "dropout: 0.25" : "batchnorm");
          break;
        default:
          if (depth == 2) {  // an image's channels are what its branches keep
            line(indent, "conv: {out: 8, kernel: 3, pad: same}");
            channels_ = 8;
          }
          text_ += indent + "- residual:\n" + indent + "    body:\n";
          chain(indent + "      ", 1 + below(3), depth - 1);
          if (below(2) == 0) {
            text_ += indent + "    shortcut:\n";
            chain(indent + "      ", 1, depth - 1);
          }
          if (below(2) == 0) line(indent, "relu");
      }
    }
  }
  std::mt19937 random_;
  std::string text_;
  int channels_ = 3, size_ = 8;
};

}  // namespace convoy::testing
