// Tiles of 256 pixels, and the patches of the source that a 3 x 3 convolution with padding 1 reads for them.
//
// A tile is a strip eight pixels wide, as high as the image, of as many images as make 32 groups of eight
// pixels:
//
//   side 32: one image, four strips    side 16: two images, two strips    side 8: four images, one strip
//
// Its groups are ordered (row h, image), its pixels (h, image, w of 8). Its patch has a column more on each
// side that a tap reads, and is one box of the tensor map (C, W, image, H): 32 groups of eight to ten pixels,
// 128 bytes (64 channels) each. Outside the image the copy engine writes zeros. Above the first row and below
// the last, zeros stay in shared memory between the patches ("halo"), so that they are never copied:
//
//   | halo | patch 0 | halo | patch 1 | halo |
//
// Tap (r, s) reads, for pixel (group g, w), the patch's pixel (group g + (r - 1) images, w + s): all 256
// addresses move by the same distance, so a tap is a distance in the operand's descriptor.
#pragma once

#include "bench/probes/products.cuh"

namespace convoy::probe {

/// The columns of a patch: those of its tile, and those around that a tap reads.
struct Columns {
  int left = 1, right = 1;
  static constexpr int row_bytes = 128;  ///< of a pixel: 64 channels of 16 bits
  constexpr int count() const { return left + 8 + right; }
  constexpr int group_bytes() const { return count() * row_bytes; }
};

template <int Side>
struct Strip {
  static_assert(Side % 8 == 0 && 32 % Side == 0);
  static constexpr int side = Side, width = 8, groups = 32, pixels = groups * width;
  static constexpr int images = groups / Side;  ///< of a tile
  static constexpr int strips = Side / width;   ///< of an image
  static constexpr int row_bytes = Columns::row_bytes;
  static constexpr int tile_bytes = pixels * row_bytes;  ///< of 64 channels, without the pixels around

  static constexpr int patch_bytes(Columns columns) { return groups * columns.group_bytes(); }
  static constexpr int halo_bytes(Columns columns) { return images * columns.group_bytes(); }
  /// From where a patch begins to what a tap reads that lies `h` rows and `w` columns from its output.
  static constexpr int tap_bytes(Columns columns, int h, int w) {
    return h * halo_bytes(columns) + (w + columns.left) * row_bytes;
  }

  /// A tile's first column and image.
  struct Place {
    int w, image;
  };
  __device__ __forceinline__ static Place place(int tile) {
    return {tile % strips * width, tile / strips * images};
  }
};

/// Where zeros are needed: above patches, below them, or on both sides.
enum class Halo { none, above, below, both };

/// Patches in shared memory, of at most `Widest` columns, and the halos between them.
template <class S, int Slots, Columns Widest = Columns{}, Halo Around = Halo::both>
struct PatchRing {
  static constexpr bool above = Around == Halo::above || Around == Halo::both, both = Around == Halo::both;
  static constexpr int slots = Slots, halos = Around == Halo::none ? 0 : Slots + both;
  static constexpr int patch_bytes = S::patch_bytes(Widest);
  static constexpr int halo_bytes = halos > 0 ? S::halo_bytes(Widest) : 0, stride = patch_bytes + halo_bytes;
  static constexpr int bytes = Slots * stride + (both ? halo_bytes : 0);

  __device__ __forceinline__ static std::uint32_t patch(std::uint32_t ring, int slot) {
    return ring + (above ? halo_bytes : 0) + slot * stride;
  }
  /// By all threads, before a barrier of the block: writes the halos' zeros.
  __device__ __forceinline__ static void clear_halos(std::uint32_t ring) {
    for (int i = 0; i < halos; ++i) {
      const std::uint32_t halo = ring + (above ? 0 : patch_bytes) + i * stride;
      for (int byte = static_cast<int>(threadIdx.x) * 16; byte < halo_bytes;
           byte += static_cast<int>(blockDim.x) * 16)
        asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(halo + byte), "r"(0) : "memory");
    }
    publish_stores();
  }
};

/// By one thread: 64 channels of the patch of a tile. `source`'s boxes have the columns of the patch.
template <class S>
__device__ __forceinline__ void load_patch(std::uint32_t to, const CUtensorMap& source, Columns columns,
                                           std::uint32_t full, int channel, int tile) {
  const auto place = S::place(tile);
  load_box(to, source, full, channel, place.w - columns.left, place.image, 0);
}

/// What a convolution's filters (K, 3 x 3, C) are for: fprop sums over channels, dgrad over filters, with
/// taps mirrored. Both read the same boxes of 64 filters x one tap x 64 channels; in fprop they lie along K,
/// in dgrad across.
enum class Pass { fprop, dgrad };

template <Pass pass>
struct FilterBox {
  static constexpr Major major = pass == Pass::fprop ? Major::along : Major::across;
  static constexpr int bytes = 64 * 128;
  static constexpr int k16_bytes = pass == Pass::fprop ? 32 : 16 * 128;  ///< to the next 16 of what is summed
  static constexpr std::uint64_t layout = layout_of(bytes, 8 * 128);
};

/// sums (64 outputs, 256 pixels) += one tap's filters (64 outputs x 64) x pixels (64 x 256): four products.
/// `columns`: of the patch in which the pixels lie.
template <class T, Pass pass>
__device__ __forceinline__ void multiply_tap(float (&sums)[128], std::uint32_t filters, std::uint32_t pixels,
                                             Columns columns, bool add) {
  using Filters = FilterBox<pass>;
  const std::uint64_t a = Filters::layout + at(filters),
                      b = layout_of(16, columns.group_bytes()) + at(pixels);
#pragma unroll
  for (int k = 0; k < 4; ++k)
    multiply<T, Filters::major, Major::along, 256>(sums, a + k * (Filters::k16_bytes >> 4), b + k * (32 >> 4),
                                                   k > 0 || add);
}

/// Shared memory through which a warpgroup stores a tile of 64 outputs, a quarter of the pixels at a time:
/// `Buffers` of 8 KiB, which the copy engine empties while the next is filled.
template <class S, int Buffers>
struct Stage {
  static constexpr int pieces = 4, buffers = Buffers;
  static constexpr int piece_groups = S::groups / pieces, piece_rows = S::side / pieces;
  static constexpr int piece_bytes = piece_groups * S::width * S::row_bytes, bytes = Buffers * piece_bytes;
  static_assert(pieces % Buffers == 0 && S::side % pieces == 0);
};

/// What a convolution does beside its products: a set of these. (A number, because nvcc 13 cannot name
/// kernels by a class.)
using Extras = unsigned;
constexpr Extras moments_extra = 1,  ///< writes sums and sums of squares of the result
    residual_extra = 2,              ///< result = relu(sums + residual)
    normalise_extra = 4;             ///< the source is relu(scale x source + shift), by channel

/// By a warpgroup: puts relu(scale x value + shift), rounded, in the place of a patch's values, except left
/// and right of the image, where zeros stay. `coefficients`: scale and shift of channels 8 (thread % 8) and
/// the seven that follow.
template <class T, class S, Columns columns>
__device__ __forceinline__ void normalise_patch(std::uint32_t patch, int tile,
                                                const float2 (&coefficients)[8]) {
  const int thread = static_cast<int>(threadIdx.x) % 128, piece = thread % 8;  // eight channels
  const auto place = S::place(tile);
  constexpr int rows_at_once = 128 / 8, batch = 5;  // loads under way
  const auto address_of = [&](int row) {
    const std::uint32_t address = patch + row * S::row_bytes;
    return address + ((piece ^ address / S::row_bytes % 8) << 4);
  };
  static_assert(S::groups * columns.count() % (rows_at_once * batch) == 0);
  for (int first = thread / 8; first < S::groups * columns.count(); first += rows_at_once * batch) {
    std::uint32_t pairs[batch][4];
#pragma unroll
    for (int i = 0; i < batch; ++i)
      asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(pairs[i][0]), "=r"(pairs[i][1]), "=r"(pairs[i][2]), "=r"(pairs[i][3])
                   : "r"(address_of(first + i * rows_at_once))
                   : "memory");
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      const int row = first + i * rows_at_once, w = place.w - columns.left + row % columns.count();
      const bool inside = w >= 0 && w < S::side;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 v = unpacked<T>(pairs[i][j]), a = coefficients[2 * j], b = coefficients[2 * j + 1];
        const std::uint32_t pair =
            rounded_pair<T>(fmaxf(fmaf(v.x, a.x, a.y), 0), fmaxf(fmaf(v.y, b.x, b.y), 0));
        pairs[i][j] = inside ? pair : 0;
      }
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address_of(row)), "r"(pairs[i][0]),
                   "r"(pairs[i][1]), "r"(pairs[i][2]), "r"(pairs[i][3])
                   : "memory");
    }
  }
  publish_stores();
}

/// By a warpgroup: rounds its sums (64 outputs, 256 pixels) and stores them through `stage`, which it owns,
/// at output channel `channel` of a tile. `name` is a hardware barrier of its own. Moments: each output's
/// sum and sum of squares over the tile, of the rounded values, to `moments` (64). Residual: it lies in the
/// stage, as wide as the tile.
template <class T, class S, class Stage, Extras extras>
__device__ __forceinline__ void store_tile(const float (&sums)[128], const CUtensorMap& result,
                                           std::uint32_t stage, int name, int channel, int tile,
                                           float2* moments) {
  const int thread = static_cast<int>(threadIdx.x) % 128, warp = thread / 32, lane = thread % 32;
  // The lane's matrix of the four, its pixel there, and the 16 bytes of eight outputs that the matrix covers.
  const int matrix = lane / 8, pixel = matrix / 2 * 8 + lane % 8, piece_of_row = 2 * warp + matrix % 2;
  const std::uint32_t to = stage + pixel * S::row_bytes + ((piece_of_row ^ lane % 8) << 4);
  const auto place = S::place(tile);
  float2 low{}, high{};  // sum and sum of squares of outputs lane / 4 and lane / 4 + 8
#pragma unroll
  for (int piece = 0; piece < Stage::pieces; ++piece) {
    const int buffer = piece % Stage::buffers * Stage::piece_bytes;
    if (thread == 0) wait_stores_read<Stage::buffers - 1>();  // what lay in this buffer
    sync_threads(name, 128);
#pragma unroll
    for (int j = 0; j < Stage::piece_groups; j += 2) {
      std::uint32_t pairs[4], residual[4];
      if constexpr (extras & residual_extra) {
        static_assert(Stage::buffers == Stage::pieces);
        load_transposed(residual, to + buffer + j * S::width * S::row_bytes);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int sum = 4 * (piece * Stage::piece_groups + j) + 2 * i;
        if constexpr (extras & residual_extra) {
          const float2 r = unpacked<T>(residual[i]);
          pairs[i] = rounded_pair<T>(fmaxf(sums[sum] + r.x, 0), fmaxf(sums[sum + 1] + r.y, 0));
        } else {
          pairs[i] = rounded_pair<T>(sums[sum], sums[sum + 1]);
        }
        if constexpr (extras & moments_extra) {
          const float2 v = unpacked<T>(pairs[i]);
          float2& into = i % 2 == 0 ? low : high;
          into.x += v.x + v.y;
          into.y = fmaf(v.x, v.x, fmaf(v.y, v.y, into.y));
        }
      }
      store_transposed(to + buffer + j * S::width * S::row_bytes, pairs);
    }
    publish_stores();
    sync_threads(name, 128);
    if (thread == 0)
      store_box(result, stage + buffer, channel, place.w, place.image, piece * Stage::piece_rows);
  }
  if constexpr (extras & moments_extra) {
#pragma unroll
    for (int other = 1; other <= 2; other *= 2) {
      low.x += __shfl_xor_sync(~0u, low.x, other), low.y += __shfl_xor_sync(~0u, low.y, other);
      high.x += __shfl_xor_sync(~0u, high.x, other), high.y += __shfl_xor_sync(~0u, high.y, other);
    }
    if (lane % 4 == 0) {
      moments[16 * warp + lane / 4] = low;
      moments[16 * warp + lane / 4 + 8] = high;
    }
  }
}

}  // namespace convoy::probe
