// The second stage of every split reduction.
#pragma once

#include <cstdint>

namespace convoy {

class CudaContext;

/// out (count) = sum over `splits` of partials (splits,count), in an order that these two numbers fix.
void sum_splits(const CudaContext& context, const float* partials, float* out, int splits,
                std::int64_t count);

}  // namespace convoy
