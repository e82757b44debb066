// Depthwise convolutions on the CPU: a filter per channel, so that no product of matrices is in them.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"

namespace convoy {

/// Does a call whose shape is_depthwise().
void depthwise(const CpuContext& context, const ConvForward& call);
void depthwise(const CpuContext& context, const ConvDgrad& call);
void depthwise(const CpuContext& context, const ConvWgrad& call);

/// What workspace_bytes says of it.
std::int64_t depthwise_workspace_bytes(const ConvForward& call);
std::int64_t depthwise_workspace_bytes(const ConvDgrad& call);
std::int64_t depthwise_workspace_bytes(const ConvWgrad& call);

}  // namespace convoy
