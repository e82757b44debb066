// Batch normalisation on the CPU. x (N, pixels, C); bound by memory.
//
// Sums are taken per image in double, image after image in parallel, and added over the images of a group in
// order: their bits depend on the shape alone. What is applied is one multiply-add per element with factors
// per image group.
#include "kernels/batchnorm.h"

#include <algorithm>
#include <cmath>

#include "core/ceil_div.h"
#include "kernels/loss_scale.h"

namespace convoy {
namespace {

std::int64_t partial_bytes(const BatchNormShape& shape) {
  return std::int64_t{2} * shape.n * shape.c * static_cast<std::int64_t>(sizeof(double));
}

/// sums (groups,2,C) of two quantities: add(image, first (C), second (C)) adds those of one image. `partial`
/// (N,2,C).
template <class AddImage>
void sum_groups(ThreadPool& threads, const BatchNormShape& shape, double* partial, double* sums,
                AddImage&& add) {
  const int c = shape.c;
  std::fill(sums, sums + std::int64_t{2} * shape.groups() * c, 0.0);
  threads.for_each(shape.n, [&](std::int64_t i) {
    double* image = partial + 2 * i * c;
    std::fill(image, image + 2 * c, 0.0);
    add(static_cast<int>(i), image, image + c);
  });
  constexpr int block = 64;  // channels of a task
  threads.for_each(ceil_div(2 * c, block), [&](std::int64_t task) {
    const int first = static_cast<int>(task) * block, end = std::min(first + block, 2 * c);
    for (int i = 0; i < shape.n; ++i) {
      double* sum = sums + std::int64_t{2} * shape.group_of(i) * c;
      for (int j = first; j < end; ++j) sum[j] += partial[std::int64_t{2} * i * c + j];
    }
  });
}

/// Calls body(image, index of its pixel's first channel) for every pixel.
template <class Body>
void for_each_pixel(ThreadPool& threads, const BatchNormShape& shape, const Body& body) {
  const std::int64_t pixels = shape.pixels;
  threads.for_each(shape.n * pixels, [&body, pixels, c = shape.c](std::int64_t row) {
    body(static_cast<int>(row / pixels), row * c);
  });
}

}  // namespace

template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormStatistics& call) {
  return partial_bytes(call.shape);
}
template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormReduce& call) {
  return partial_bytes(call.shape);
}

void launch(const CpuContext& context, const BatchNormStatistics& call) {
  const BatchNormShape& shape = call.shape;
  const float* x = context.data<float>(call.x);
  sum_groups(context.threads(), shape, context.arenas.workspace<double>(partial_bytes(shape)),
             context.data<double>(call.sums), [&](int image, double* sum, double* squares) {
               const float* row = x + image * shape.pixels * shape.c;
               for (std::int64_t pixel = 0; pixel < shape.pixels; ++pixel, row += shape.c) {
                 for (int c = 0; c < shape.c; ++c) {
                   const double value = row[c];
                   sum[c] += value;
                   squares[c] += value * value;
                 }
               }
             });
}

void launch(const CpuContext& context, const BatchNormMoments& call) {
  const BatchNormShape& shape = call.shape;
  const double* sums = context.data<double>(call.sums);
  float* mean = context.data<float>(call.mean);
  float* inv_std = context.data<float>(call.inv_std);
  float* batch_mean = context.data<float>(call.batch_mean);
  float* batch_var = context.data<float>(call.batch_var);
  const int channels = shape.c, groups = shape.groups();
  for (int c = 0; c < channels; ++c) {
    double mean_sum = 0.0, var_sum = 0.0;
    for (int g = 0; g < groups; ++g) {
      const double count = static_cast<double>(shape.images_in(g) * shape.pixels);
      const double* group = sums + std::int64_t{2} * g * channels;
      const double average = group[c] / count;
      const double variance = std::max(0.0, group[channels + c] / count - average * average);
      mean[std::int64_t{g} * channels + c] = static_cast<float>(average);
      inv_std[std::int64_t{g} * channels + c] =
          static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(shape.epsilon)));
      mean_sum += average;
      var_sum += variance * count / std::max(1.0, count - 1.0);
    }
    batch_mean[c] = static_cast<float>(call.share * mean_sum);
    batch_var[c] = static_cast<float>(call.share * var_sum);
  }
}

void launch(const CpuContext& context, const BatchNormRunning& call) {
  const float* scale = context.data<float>(call.loss_scale);  // or null
  if (scale != nullptr && scale[loss_scale::skip] != 0.0f) return;
  const float* batch = context.data<float>(call.batch);
  const float* momentum = context.data<float>(call.momentum);
  float* running = context.data<float>(call.running);
  for (std::int64_t i = 0; i < call.running.count; ++i)
    running[i] += momentum[i / parameter_alignment] * (batch[i] - running[i]);
}

void launch(const CpuContext& context, const BatchNormForward& call) {
  const BatchNormShape& shape = call.shape;
  const float* x = context.data<float>(call.x);
  const float* gamma = context.data<float>(call.gamma);
  const float* beta = context.data<float>(call.beta);
  const float* means = context.data<float>(call.mean);
  const float* inv_stds = context.data<float>(call.inv_std);
  float* y = context.data<float>(call.y);
  for_each_pixel(context.threads(), shape, [&](int image, std::int64_t at) {
    const std::int64_t group = std::int64_t{shape.group_of(image)} * shape.c;
    const float* mean = means + group;
    const float* inv_std = inv_stds + group;
    for (int c = 0; c < shape.c; ++c) y[at + c] = (x[at + c] - mean[c]) * (inv_std[c] * gamma[c]) + beta[c];
  });
}

void launch(const CpuContext& context, const BatchNormInference& call) {
  const BatchNormShape& shape = call.shape;
  const float* x = context.data<float>(call.x);
  const float* gamma = context.data<float>(call.gamma);
  const float* beta = context.data<float>(call.beta);
  const float* mean = context.data<float>(call.running_mean);
  const float* variance = context.data<float>(call.running_var);
  float* y = context.data<float>(call.y);
  float* scale = context.arenas.workspace<float>(workspace_bytes<CpuContext>(call));
  for (int c = 0; c < shape.c; ++c) scale[c] = gamma[c] / std::sqrt(variance[c] + shape.epsilon);
  for_each_pixel(context.threads(), shape, [&](int, std::int64_t at) {
    for (int c = 0; c < shape.c; ++c) y[at + c] = (x[at + c] - mean[c]) * scale[c] + beta[c];
  });
}
template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormInference& call) {
  return call.shape.c * static_cast<std::int64_t>(sizeof(float));
}

void launch(const CpuContext& context, const BatchNormReduce& call) {
  const BatchNormShape& shape = call.shape;
  const float* x = context.data<float>(call.x);
  const float* dy = context.data<float>(call.dy);
  const float* means = context.data<float>(call.mean);
  const float* inv_stds = context.data<float>(call.inv_std);
  double* sums = context.data<double>(call.sums);
  sum_groups(context.threads(), shape, context.arenas.workspace<double>(partial_bytes(shape)), sums,
             [&](int image, double* sum, double* products) {
               const std::int64_t group = std::int64_t{shape.group_of(image)} * shape.c;
               const float* mean = means + group;
               const float* inv_std = inv_stds + group;
               std::int64_t at = image * shape.pixels * shape.c;
               for (std::int64_t pixel = 0; pixel < shape.pixels; ++pixel, at += shape.c) {
                 for (int c = 0; c < shape.c; ++c) {
                   const double gradient = dy[at + c];
                   sum[c] += gradient;
                   products[c] += gradient * static_cast<double>((x[at + c] - mean[c]) * inv_std[c]);
                 }
               }
             });
  float* dgamma = context.data<float>(call.dgamma);
  float* dbeta = context.data<float>(call.dbeta);
  for (int c = 0; c < shape.c; ++c) {
    double gradient = 0.0, product = 0.0;
    for (int g = 0; g < shape.groups(); ++g) {
      gradient += sums[std::int64_t{2} * g * shape.c + c];
      product += sums[(std::int64_t{2} * g + 1) * shape.c + c];
    }
    dbeta[c] = static_cast<float>(gradient);
    dgamma[c] = static_cast<float>(product);
  }
}

void launch(const CpuContext& context, const BatchNormBackward& call) {
  const BatchNormShape& shape = call.shape;
  const float* x = context.data<float>(call.x);
  const float* dy = context.data<float>(call.dy);
  const float* means = context.data<float>(call.mean);
  const float* inv_stds = context.data<float>(call.inv_std);
  const float* gamma = context.data<float>(call.gamma);
  const double* sums = context.data<double>(call.sums);
  float* dx = context.data<float>(call.dx);
  const int channels = shape.c, groups = shape.groups();
  // dx = a dy + b (x - mean) + e with factors per channel of a group.
  float* factors = context.arenas.workspace<float>(workspace_bytes<CpuContext>(call));
  for (int g = 0; g < groups; ++g) {
    const double count = static_cast<double>(shape.images_in(g) * shape.pixels);
    const double* sum = sums + std::int64_t{2} * g * channels;
    float* factor = factors + std::int64_t{3} * g * channels;
    for (int c = 0; c < channels; ++c) {
      const double inv_std = inv_stds[std::int64_t{g} * channels + c];
      const double a = gamma[c] * inv_std, b = -a * inv_std * sum[channels + c] / count;
      factor[c] = static_cast<float>(a);
      factor[channels + c] = static_cast<float>(b);
      factor[2 * channels + c] = static_cast<float>(-a * sum[c] / count);
    }
  }
  for_each_pixel(context.threads(), shape, [&](int image, std::int64_t at) {
    const std::int64_t group = std::int64_t{shape.group_of(image)} * channels;
    const float* mean = means + group;
    const float* a = factors + 3 * group;
    const float* b = a + channels;
    const float* e = b + channels;
    for (int c = 0; c < channels; ++c) dx[at + c] = a[c] * dy[at + c] + (b[c] * (x[at + c] - mean[c]) + e[c]);
  });
}
template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormBackward& call) {
  return std::int64_t{3} * call.shape.groups() * call.shape.c * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace convoy
