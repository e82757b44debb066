// Which patches a streamed convolution reads for a tile of its result, and which taps of each.
//
// A walk has one or more classes of output pixels (one, except in dgrad of stride 2); for each class and 64
// channels of what is summed it names patches, from which tensor map each comes, and their taps: which of the
// filters', and how many rows and columns of the patch's plane they lie from their output.
#pragma once

#include "bench/probes/strip.cuh"

namespace convoy::probe {

struct Tap {
  int filter;  ///< 3 r + s
  int h, w;    ///< -1, 0 or 1
};

/// One patch for all nine taps.
template <int Side, Pass pass>
struct Stride1 {
  using S = Strip<Side>;
  static constexpr int classes = 1, sources = 1;
  using Patches = PatchRing<S, 2>;                      ///< in shared memory
  static constexpr Columns columns(int) { return {}; }  ///< of the patches of a source
  static constexpr int patches(int) { return 1; }
  static constexpr int source(int, int) { return 0; }
  static constexpr int taps(int, int) { return 9; }
  static constexpr Tap tap(int, int, int i) {
    return {pass == Pass::fprop ? i : 8 - i, i / 3 - 1, i % 3 - 1};
  }
};

/// fprop of stride 2: output (h, w) reads rows 2 h - 1, 2 h, 2 h + 1 of the source. Its rows and columns of
/// equal parity are four planes of the result's size, each a tensor map with doubled strides; of these
///
///   odd row, odd column: four taps    even, odd: two    odd, even: two    even, even: the centre
template <int Side>
struct Stride2 {
  using S = Strip<Side>;
  static constexpr int classes = 1, sources = 4;  ///< source 2 i + j: rows of parity i, columns of parity j
  using Patches = PatchRing<S, 3, Columns{1, 0}, Halo::above>;
  static constexpr Columns columns(int source) { return {source % 2, 0}; }
  static constexpr int patches(int) { return 4; }
  static constexpr int source(int, int patch) {
    return patch == 0 ? 3 : patch - 1;
  }  // many taps first: time to copy
  static constexpr int taps(int, int patch) {
    return (1 + source(0, patch) / 2) * (1 + source(0, patch) % 2);
  }
  static constexpr Tap tap(int, int patch, int i) {
    const int odd_row = source(0, patch) / 2, odd_column = source(0, patch) % 2;
    const int r = odd_row ? i / (1 + odd_column) * 2 : 1, s = odd_column ? i % 2 * 2 : 1;
    return {3 * r + s, r == 0 ? -1 : 0, s == 0 ? -1 : 0};
  }
};

/// dgrad of stride 2: pixels (2 h + i, 2 w + j) of the result are class 2 i + j. An even row is reached by r
/// = 1 from row h of the gradient, an odd one by r = 0 from row h + 1 and by r = 2 from row h; columns alike.
template <int Side>
struct Stride2Dgrad {
  using S = Strip<Side>;
  static constexpr int classes = 4, sources = 1;
  using Patches = PatchRing<S, 2, Columns{0, 1}, Halo::below>;
  static constexpr Columns columns(int) { return {0, 1}; }
  static constexpr int patches(int) { return 1; }
  static constexpr int source(int, int) { return 0; }
  static constexpr int taps(int cls, int) { return (1 + cls / 2) * (1 + cls % 2); }
  static constexpr Tap tap(int cls, int, int i) {
    const int odd_row = cls / 2, odd_column = cls % 2;
    const int r = odd_row ? i / (1 + odd_column) * 2 : 1, s = odd_column ? i % 2 * 2 : 1;
    return {3 * r + s, r == 0 ? 1 : 0, s == 0 ? 1 : 0};
  }
};

}  // namespace convoy::probe
