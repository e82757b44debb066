// Group normalisation on the CPU; bound by memory. Sums are taken per channel of an image in double, then
// over the channels of a group and over the images in order: their bits depend on the shape alone.
#include "kernels/groupnorm.h"

#include <algorithm>
#include <cmath>

#include "kernels/column_sums.h"

namespace convoy {
namespace {

RowParts parts_of(const GroupNormShape& s) {
  return {s.images, s.pixels};
}

/// Calls body(row, image's first group, group's first channel, behind its last) for each pixel and group.
template <class Body>
void for_each_group(std::int64_t row, const GroupNormShape& s, const Body& body) {
  const std::int64_t first = row / s.pixels * s.groups;
  for (int g = 0; g < s.groups; ++g) body(first + g, g * s.members(), (g + 1) * s.members());
}

/// The sum of the group's channels in sums (c).
double group_sum(const GroupNormShape& s, int group, const double* sums) {
  double sum = 0.0;
  for (int k = group * s.members(); k < (group + 1) * s.members(); ++k) sum += sums[k];
  return sum;
}

}  // namespace

template <>
std::int64_t workspace_bytes<CpuContext>(const GroupNormStatistics& call) {
  return parts_of(call.shape).partial_bytes(call.shape.c);
}
template <>
std::int64_t workspace_bytes<CpuContext>(const GroupNormReduce& call) {
  return parts_of(call.shape).partial_bytes(2 * call.shape.c);
}

void launch(const CpuContext& context, const GroupNormStatistics& call) {
  const GroupNormShape s = call.shape;
  const float* x = context.data<float>(call.x);
  float* mean = context.data<float>(call.mean);
  float* inv_std = context.data<float>(call.inv_std);
  double* partial = context.arenas.workspace<double>(workspace_bytes<CpuContext>(call));
  const auto m = static_cast<double>(s.pixels * s.members());
  sum_columns(
      context.threads(), parts_of(s), s.c, partial,
      [=](std::int64_t row, double* sums) {
        for (int k = 0; k < s.c; ++k) sums[k] += static_cast<double>(x[row * s.c + k]);
      },
      [=](std::int64_t image, const double* sums) {
        for (int g = 0; g < s.groups; ++g)
          mean[image * s.groups + g] = static_cast<float>(group_sum(s, g, sums) / m);
      });
  sum_columns(
      context.threads(), parts_of(s), s.c, partial,
      [=](std::int64_t row, double* sums) {
        for_each_group(row, s, [=](std::int64_t g, int first, int end) {
          for (int k = first; k < end; ++k) {
            const float centred = x[row * s.c + k] - mean[g];
            sums[k] += static_cast<double>(centred * centred);
          }
        });
      },
      [=](std::int64_t image, const double* sums) {
        for (int g = 0; g < s.groups; ++g) {
          const double variance = group_sum(s, g, sums) / m;
          inv_std[image * s.groups + g] =
              static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(s.epsilon)));
        }
      });
}

void launch(const CpuContext& context, const GroupNormForward& call) {
  const GroupNormShape s = call.shape;
  const float* x = context.data<float>(call.x);
  const float* mean = context.data<float>(call.mean);
  const float* inv_std = context.data<float>(call.inv_std);
  const float* gamma = context.data<float>(call.gamma);
  const float* beta = context.data<float>(call.beta);
  float* y = context.data<float>(call.y);
  context.threads().for_each(s.images * s.pixels, [=](std::int64_t row) {
    for_each_group(row, s, [=](std::int64_t g, int first, int end) {
      for (int k = first; k < end; ++k)
        y[row * s.c + k] = (x[row * s.c + k] - mean[g]) * inv_std[g] * gamma[k] + beta[k];
    });
  });
}

void launch(const CpuContext& context, const GroupNormReduce& call) {
  const GroupNormShape s = call.shape;
  const float* x = context.data<float>(call.x);
  const float* dy = context.data<float>(call.dy);
  const float* mean = context.data<float>(call.mean);
  const float* inv_std = context.data<float>(call.inv_std);
  const float* gamma = context.data<float>(call.gamma);
  float* of_groups = context.data<float>(call.sums);
  float* dgamma = context.data<float>(call.dgamma);
  float* dbeta = context.data<float>(call.dbeta);
  double* partial = context.arenas.workspace<double>(workspace_bytes<CpuContext>(call));
  const RowParts parts = parts_of(s);
  sum_columns(
      context.threads(), parts, 2 * s.c, partial,  // dy, then dy x̂
      [=](std::int64_t row, double* sums) {
        for_each_group(row, s, [=](std::int64_t g, int first, int end) {
          for (int k = first; k < end; ++k) {
            const float gradient = dy[row * s.c + k];
            sums[k] += static_cast<double>(gradient);
            sums[s.c + k] += static_cast<double>(gradient * ((x[row * s.c + k] - mean[g]) * inv_std[g]));
          }
        });
      },
      [=](std::int64_t image, const double* sums) {
        for (int g = 0; g < s.groups; ++g) {
          double gradients = 0.0, products = 0.0;
          for (int k = g * s.members(); k < (g + 1) * s.members(); ++k) {
            gradients += static_cast<double>(gamma[k]) * sums[k];
            products += static_cast<double>(gamma[k]) * sums[s.c + k];
          }
          float* out = of_groups + 2 * (image * s.groups + g);
          out[0] = static_cast<float>(gradients), out[1] = static_cast<float>(products);
        }
      });
  for (int k = 0; k < s.c; ++k) {
    double gradient = 0.0, product = 0.0;
    for (std::int64_t image = 0; image < s.images; ++image) {
      const double* sums = partial + image * parts.parts * 2 * s.c;
      gradient += sums[k], product += sums[s.c + k];
    }
    dbeta[k] = static_cast<float>(gradient), dgamma[k] = static_cast<float>(product);
  }
}

void launch(const CpuContext& context, const GroupNormBackward& call) {
  const GroupNormShape s = call.shape;
  const float* x = context.data<float>(call.x);
  const float* dy = context.data<float>(call.dy);
  const float* mean = context.data<float>(call.mean);
  const float* inv_std = context.data<float>(call.inv_std);
  const float* gamma = context.data<float>(call.gamma);
  const float* sums = context.data<float>(call.sums);
  float* dx = context.data<float>(call.dx);
  const float share = 1.0f / static_cast<float>(s.pixels * s.members());
  context.threads().for_each(s.images * s.pixels, [=](std::int64_t row) {
    for_each_group(row, s, [=](std::int64_t g, int first, int end) {
      const float of_g = sums[2 * g] * share, of_products = sums[2 * g + 1] * share;
      for (int k = first; k < end; ++k) {
        const std::int64_t i = row * s.c + k;
        dx[i] = inv_std[g] * (gamma[k] * dy[i] - of_g - (x[i] - mean[g]) * inv_std[g] * of_products);
      }
    });
  });
}

}  // namespace convoy
