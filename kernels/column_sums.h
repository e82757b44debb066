// Sums over the rows of each image on the CPU, in an order that the shape alone fixes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/ceil_div.h"
#include "core/thread_pool.h"

namespace convoy {

/// Parts of an image's rows that are summed side by side: enough of them for many threads, none too short.
struct RowParts {
  std::int64_t images, rows, parts, length;

  RowParts(std::int64_t of_images, std::int64_t rows_of_image) : images(of_images), rows(rows_of_image) {
    constexpr std::int64_t wanted = 64, fewest_rows = 16;
    parts = std::clamp<std::int64_t>(wanted / std::max<std::int64_t>(images, 1), 1,
                                     std::max<std::int64_t>(1, rows / fewest_rows));
    length = std::max<std::int64_t>(1, ceil_div(rows, parts));
    parts = std::max<std::int64_t>(1, ceil_div(rows, length));
  }
  /// Of the doubles that sums of `width` columns need.
  std::int64_t partial_bytes(int width) const {
    return images * parts * width * static_cast<std::int64_t>(sizeof(double));
  }
};

/// Calls store(image, sums (width)) with the sums over the image's rows of what add(row, sums) adds; rows are
/// counted over all images. `partial` is room for partial_bytes(width).
template <class Add, class Store>
void sum_columns(ThreadPool& threads, const RowParts& p, int width, double* partial, const Add& add,
                 const Store& store) {
  threads.for_each(p.images * p.parts, [=, &add](std::int64_t task) {
    double* sums = partial + task * width;
    std::fill(sums, sums + width, 0.0);
    const std::int64_t image = task / p.parts, first = task % p.parts * p.length;
    for (std::int64_t row = first; row < std::min(first + p.length, p.rows); ++row)
      add(image * p.rows + row, sums);
  });
  threads.for_each(p.images, [=, &store](std::int64_t image) {
    double* sums = partial + image * p.parts * width;
    for (std::int64_t part = 1; part < p.parts; ++part)
      for (int i = 0; i < width; ++i) sums[i] += sums[part * width + i];
    store(image, sums);
  });
}

}  // namespace convoy
