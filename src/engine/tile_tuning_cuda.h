// Finds the fastest tiles of a device by timing them.
#pragma once

#include <vector>

#include "kernels/conv/cuda/tile_choice.h"
#include "kernels/cuda_context.h"
#include "src/plan/plan.h"

namespace convoy {

/// Times the tiles of every product in the plans that `choices` does not know, and adds the fastest. Uses the
/// arenas, of these sizes, and fills them with zeros again. Returns how many products were measured.
int measure_tiles(const CudaContext& context, const ArenaSizes& sizes, const std::vector<const Plan*>& plans,
                  TileChoices& choices);

/// Names all that timings depend on besides the product: device, driver, CUDA runtime and this binary's
/// tiles.
std::string tuning_identity(int device);

}  // namespace convoy
