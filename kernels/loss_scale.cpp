// The check of the gradients on the CPU: runs of fixed length shared out, their sums added in order.
#include "kernels/loss_scale.h"

#include <algorithm>
#include <vector>

#include "kernels/runs.h"

namespace convoy {

void launch(const CpuContext& context, const CheckGradients& call) {
  constexpr std::int64_t run = 1 << 14;
  const float* gradients = context.data<float>(call.gradients);
  const std::int64_t count = call.gradients.count;
  std::vector<double> sums(static_cast<std::size_t>(ceil_div(count, run)));
  for_each_run<run>(context.threads(), count, [&](std::int64_t r, std::int64_t i, std::int64_t end) {
    double sum = 0;
    for (; i < end; ++i) sum += static_cast<double>(gradients[i]) * static_cast<double>(gradients[i]);
    sums[static_cast<std::size_t>(r)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  loss_scale::advance(context.data<float>(call.loss_scale), total, call.rules);
}

}  // namespace convoy
