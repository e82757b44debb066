// Changes of pictures on the CPU: pictures shared out over threads. images (samples,1,H,W,C) -> pictures.
#include "kernels/retouch.h"

#include "kernels/retouch_pixels.h"

namespace convoy {

void launch(const CpuContext& context, const Retouch& call) {
  context.threads().for_each_range(
      call.rows(), [&](std::int64_t first, std::int64_t end) { retouch_rows(context, call, first, end); });
}

}  // namespace convoy
