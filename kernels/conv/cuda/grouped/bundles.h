// Bundles: neighbouring groups that one product of matrices computes together, because a group alone is
// narrower than a tile or than a load. Plain C++.
//
// A bundle is a convolution without groups of its channels and filters, whose weights are the groups' along
// the diagonal and zeros elsewhere. So a NaN or an infinity reaches the other groups of its bundle, too, as 0
// · inf.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "kernels/conv/conv.h"

namespace convoy {

struct Bundles {
  int groups = 1;                 ///< of a bundle
  int count = 1;                  ///< of bundles
  int channels = 1, filters = 1;  ///< of a bundle

  /// Whether zeros are stored between the groups' weights.
  bool pads_weights() const { return groups > 1; }
  /// Of weights (K,T,R,S, channels of a bundle).
  std::int64_t padded_weights(const ConvShape& shape) const { return shape.k * shape.taps() * channels; }
  /// A bundle as a convolution without groups.
  ConvShape alone(ConvShape shape) const {
    shape.in.c = channels, shape.k = filters, shape.groups = 1;
    return shape;
  }
};

inline Bundles bundles_of(const ConvShape& shape, int groups) {
  return {groups, shape.groups / groups, groups * shape.group_channels(), groups * shape.group_filters()};
}

/// For loads of `run` channels: as many groups as fit the narrowest large tile, else as few as loads allow.
/// Nothing where no number of groups makes a multiple of `run`.
inline std::optional<Bundles> bundles_for(const ConvShape& shape, int run) {
  constexpr int wanted = 64, most = 256;  // channels
  const int widest = std::max(shape.group_channels(), shape.group_filters());
  std::optional<Bundles> best;
  for (int groups = 1; groups <= shape.groups && (groups == 1 || groups * widest <= most); ++groups) {
    if (shape.groups % groups != 0) continue;
    const Bundles bundles = bundles_of(shape, groups);
    if (bundles.channels % run != 0 || bundles.filters % run != 0) continue;
    if (!best || groups * widest <= wanted) best = bundles;
  }
  return best;
}

}  // namespace convoy
