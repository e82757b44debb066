// The gather (index/gather.h) of a bundle of groups. Plain C++.
//
// A pixel's bundles lie side by side in memory, as pixels do: (N,D,H,W, bundles · channels of one) is an
// image of W · bundles pixels, of which a bundle's windows and taps see every bundles-th. With that as the
// geometry of the gather, and addresses moved to the bundle's first channel, no index arithmetic is added.
#pragma once

#include "kernels/conv/cuda/grouped/bundles.h"
#include "kernels/conv/cuda/index/gather.h"

namespace convoy {

/// The gather of a bundle alone as that of the first of `bundles`.
template <class T>
Gather<T> among_bundles(Gather<T> gather, int bundles) {
  gather.w.stride *= bundles, gather.w.offset *= bundles, gather.w.step *= bundles;
  gather.w.length *= bundles;
  return gather;
}

}  // namespace convoy
