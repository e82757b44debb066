// Copies of channels on the CPU: threads share the rows; bound by memory.
#include "kernels/channels.h"

#include <algorithm>

namespace convoy {
namespace {

/// `count` channels of y (rows,y_c) from y_first on = those of x (rows,x_c) from x_first on; x null: zeros.
void copy_channels(ThreadPool& threads, std::int64_t rows, int count, const float* x, int x_c, int x_first,
                   float* y, int y_c, int y_first) {
  threads.for_each(rows, [=](std::int64_t row) {
    float* to = y + row * y_c + y_first;
    if (x == nullptr)
      std::fill_n(to, count, 0.0f);
    else
      std::copy_n(x + row * x_c + x_first, count, to);
  });
}

}  // namespace

void launch(const CpuContext& context, const ConcatChannels& call) {
  int total = 0, first = 0;
  for (const int c : call.c) total += c;
  for (std::size_t i = 0; i < call.x.size(); ++i) {
    copy_channels(context.threads(), call.rows, call.c[i], context.data<float>(call.x[i]), call.c[i], 0,
                  context.data<float>(call.y), total, first);
    first += call.c[i];
  }
}

void launch(const CpuContext& context, const SliceChannels& call) {
  copy_channels(context.threads(), call.rows, call.count, context.data<float>(call.x), call.c, call.first,
                context.data<float>(call.y), call.count, 0);
}

void launch(const CpuContext& context, const ShuffleChannels& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  context.threads().for_each(
      call.rows, [=, c = call.c, groups = call.groups, members = call.c / call.groups](std::int64_t row) {
        const float* from = x + row * c;
        float* to = y + row * c;
        for (int j = 0; j < members; ++j)
          for (int g = 0; g < groups; ++g) to[j * groups + g] = from[g * members + j];
      });
}

}  // namespace convoy
