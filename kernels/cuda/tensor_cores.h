// Whether the tensor core kernels can run.
#pragma once

namespace convoy {

/// True where the code that the driver picked (or compiled) for the current device has the instructions of
/// sm_80: the device may be older, or be running a binary made for older ones.
bool has_tensor_core_code();

}  // namespace convoy
