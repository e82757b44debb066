// The check of the gradients on the CPU: runs of fixed length shared out, their sums added in order.
#include "kernels/loss_scale.h"

#include <algorithm>
#include <vector>

namespace convoy {

void launch(const CpuContext& context, const CheckGradients& call) {
  constexpr std::int64_t run = 1 << 14;
  const float* gradients = context.data<float>(call.gradients);
  const std::int64_t count = call.gradients.count, runs = (count + run - 1) / run;
  std::vector<double> sums(static_cast<std::size_t>(runs));
  context.threads().for_each(runs, [&](std::int64_t r) {
    double sum = 0;
    for (std::int64_t i = r * run; i < std::min(count, (r + 1) * run); ++i) {
      sum += static_cast<double>(gradients[i]) * static_cast<double>(gradients[i]);
    }
    sums[static_cast<std::size_t>(r)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  loss_scale::advance(context.data<float>(call.loss_scale), total, call.rules);
}

}  // namespace convoy
