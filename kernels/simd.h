// Sixteen lanes of 128-bit vectors, which every x86-64 has, for loops that the compiler does not vectorise by
// itself.
#pragma once

#include <emmintrin.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace convoy {

constexpr int simd_lanes = 16;

typedef float Float4 __attribute__((vector_size(16)));
typedef std::int32_t Int4 __attribute__((vector_size(16)));
typedef std::uint8_t Byte16 __attribute__((vector_size(16)));

/// Sixteen values as four vectors. Members, not an array, so that they live in registers.
template <class Vector>
struct Lanes {
  Vector a{}, b{}, c{}, d{};
};
using Float16 = Lanes<Float4>;
using Int16 = Lanes<Int4>;

/// f applied to the vectors of its arguments, one after the other.
template <class Function, class... Vectors>
inline auto map_lanes(Function&& f, const Lanes<Vectors>&... x) {
  return Lanes<decltype(f(x.a...))>{f(x.a...), f(x.b...), f(x.c...), f(x.d...)};
}

/// The first `count` values of p, zeros in the lanes beyond.
inline Float16 load_lanes(const float* p, int count) {
  float padded[simd_lanes] = {};
  if (count < simd_lanes) p = static_cast<const float*>(std::memcpy(padded, p, sizeof(float) * count));
  const auto load = [=](int i) { return static_cast<Float4>(_mm_loadu_ps(p + i)); };
  return {load(0), load(4), load(8), load(12)};
}
inline Byte16 load_lanes(const std::uint8_t* p, int count) {
  std::uint8_t padded[simd_lanes] = {};
  if (count < simd_lanes) p = static_cast<const std::uint8_t*>(std::memcpy(padded, p, count));
  return reinterpret_cast<Byte16>(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
template <class Value, class T>
inline void store_lanes(T* p, const Value& value, int count) {
  if (count == simd_lanes)
    std::memcpy(p, &value, sizeof(value));  // a constant size: vector stores
  else
    std::memcpy(p, &value, sizeof(T) * count);
}

/// Calls body(first, count) for every block of channels; only a last block counts fewer than simd_lanes.
template <class Body>
inline void for_each_channel_block(int channels, Body&& body) {
  int c = 0;
  for (; c + simd_lanes <= channels; c += simd_lanes) body(c, std::integral_constant<int, simd_lanes>{});
  if (c < channels) body(c, channels - c);
}

/// All bits of lane i set where byte i is `value`.
inline Int16 equal_lanes(Byte16 bytes, std::uint8_t value) {
  const auto equal = reinterpret_cast<__m128i>(bytes == value);
  const __m128i low = _mm_unpacklo_epi8(equal, equal), high = _mm_unpackhi_epi8(equal, equal);
  return {reinterpret_cast<Int4>(_mm_unpacklo_epi16(low, low)),
          reinterpret_cast<Int4>(_mm_unpackhi_epi16(low, low)),
          reinterpret_cast<Int4>(_mm_unpacklo_epi16(high, high)),
          reinterpret_cast<Int4>(_mm_unpackhi_epi16(high, high))};
}

/// x where all bits of `mask` are set, zero where none is.
inline Float16 keep_lanes(const Int16& mask, const Float16& x) {
  return map_lanes([](Int4 m, Float4 v) { return reinterpret_cast<Float4>(m & reinterpret_cast<Int4>(v)); },
                   mask, x);
}

/// Values of 0 to 255 as bytes.
inline Byte16 narrow_lanes(const Int16& x) {
  const auto pack = [](Int4 low, Int4 high) {
    return _mm_packs_epi32(reinterpret_cast<__m128i>(low), reinterpret_cast<__m128i>(high));
  };
  return reinterpret_cast<Byte16>(_mm_packus_epi16(pack(x.a, x.b), pack(x.c, x.d)));
}

}  // namespace convoy
