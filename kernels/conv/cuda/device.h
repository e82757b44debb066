// Facts of a GPU, and of the code that a build has for it, which decide about a convolution's kernels. Plain
// C++.
#pragma once

#include <span>
#include <string_view>

namespace convoy {

struct Gpu {
  int multiprocessors, shared_bytes_per_block;
};

struct ConvDevice {
  Gpu gpu;
  bool tensor_core_code = false;  ///< instructions of sm_80 run: the device and the machine code have them
  bool warpgroups = false;        ///< likewise those of sm_90a alone
};

/// The device in use. Asks the driver, which takes microseconds: at planning and capture, never while a graph
/// runs. Defined where CUDA sources are compiled.
ConvDevice current_conv_device();

/// A GPU as its vendor describes it, with a build that has machine code for it.
struct KnownGpu {
  std::string_view architecture;  ///< "sm_90a"
  std::string_view name;          ///< of one of them; others have other numbers of multiprocessors
  ConvDevice device;
};
std::span<const KnownGpu> known_gpus();

}  // namespace convoy
