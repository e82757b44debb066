// Conversion on the CPU; bound by memory.
#include "kernels/convert.h"

namespace convoy {

void launch(const CpuContext& context, const Convert& call) {
  with_stored_type(call, DType::f32, [&]<class Stored>(Stored) {
    const std::int64_t count = call.to.count;
    if (call.from.dtype == DType::f32) {
      const float* from = context.data<float>(call.from);
      Stored* to = context.data<Stored>(call.to);
      context.threads().for_each(count, [=](std::int64_t i) { to[i] = Stored(from[i]); });
    } else {
      const Stored* from = context.data<Stored>(call.from);
      float* to = context.data<float>(call.to);
      context.threads().for_each(count, [=](std::int64_t i) { to[i] = static_cast<float>(from[i]); });
    }
  });
}

}  // namespace convoy
