// What the kernel sets for x86-64 share: 256-bit vectors of AVX2. Include it once LOCKSTEP_TARGET is
// defined.
#pragma once

#include <immintrin.h>

#include "models/core/kernels/wide_set.h"

namespace lockstep::model::kernels {
namespace {

struct Bytes32 {
    // Four paired weights of four outputs, a row of four after the other.
    static constexpr int8_t kUnpair[16] = {0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15};

    using B = __m256i;
    LOCKSTEP_WIDE static B load_bytes(const int8_t* p) {
        return _mm256_loadu_si256(reinterpret_cast<const B*>(p));
    }
    LOCKSTEP_WIDE static void store_bytes(B v, int8_t* p) { _mm256_storeu_si256(reinterpret_cast<B*>(p), v); }
    LOCKSTEP_WIDE static B all_bytes(int8_t v) { return _mm256_set1_epi8(v); }
    LOCKSTEP_WIDE static B larger_bytes(B a, B b) { return _mm256_max_epi8(a, b); }
    LOCKSTEP_WIDE static B smaller_bytes(B a, B b) { return _mm256_min_epi8(a, b); }

    // 16 values of `source`, chosen by `from`.
    LOCKSTEP_WIDE static void pick(const int8_t* source, const uint8_t* from, int16_t* to) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
        const __m128i chosen = _mm_shuffle_epi8(v, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
        _mm256_storeu_si256(reinterpret_cast<B*>(to), _mm256_cvtepi8_epi16(chosen));
    }
    // Sixteen weights of four channels, `row` apart: four words of four weights, `step` apart.
    LOCKSTEP_WIDE static void turn(const int8_t* w, size_t row, uint32_t* to, size_t step) {
        const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w));
        const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + row));
        const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 2 * row));
        const __m128i d = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 3 * row));
        const __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d),
                      ab2 = _mm_unpackhi_epi32(a, b), cd2 = _mm_unpackhi_epi32(c, d);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi64(ab, cd));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + step), _mm_unpackhi_epi64(ab, cd));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * step), _mm_unpacklo_epi64(ab2, cd2));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 3 * step), _mm_unpackhi_epi64(ab2, cd2));
    }
    // The same value 16 times.
    LOCKSTEP_WIDE static void fill(int32_t v, int16_t* to) {
        _mm256_storeu_si256(reinterpret_cast<B*>(to), _mm256_set1_epi16(int16_t(v)));
    }
};

struct Lanes8 : Bytes32 {
    static constexpr size_t kLanes = 8;
    using V = int32_t __attribute__((vector_size(32)));
    using F = float __attribute__((vector_size(32)));

    LOCKSTEP_WIDE static V load(const void* p) {
        return V(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
    }
    LOCKSTEP_WIDE static V broadcast(const void* p) { return V(_mm256_set1_epi32(int32_t(load_word(p)))); }
    LOCKSTEP_WIDE static V all(int32_t v) { return V(_mm256_set1_epi32(v)); }
    LOCKSTEP_WIDE static V add(V a, V b) { return V(_mm256_add_epi32(__m256i(a), __m256i(b))); }
    LOCKSTEP_WIDE static V subtract(V a, V b) { return V(_mm256_sub_epi32(__m256i(a), __m256i(b))); }
    LOCKSTEP_WIDE static V larger(V a, V b) { return V(_mm256_max_epi32(__m256i(a), __m256i(b))); }
    LOCKSTEP_WIDE static V smaller(V a, V b) { return V(_mm256_min_epi32(__m256i(a), __m256i(b))); }
    LOCKSTEP_WIDE static V shift_left(V a, V n) { return V(_mm256_sllv_epi32(__m256i(a), __m256i(n))); }
    LOCKSTEP_WIDE static bool any(V mask) { return _mm256_movemask_epi8(__m256i(mask)) != 0; }
    LOCKSTEP_WIDE static V lanes_of_bytes(const int8_t* p) {
        return V(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
    }
    LOCKSTEP_WIDE static V quotient(V a, float n) { return truncated(real(a) / (F{} + n)); }

    LOCKSTEP_WIDE static F real(V v) { return F(_mm256_cvtepi32_ps(__m256i(v))); }
    LOCKSTEP_WIDE static V truncated(F v) { return V(_mm256_cvttps_epi32(__m256(v))); }
    LOCKSTEP_WIDE static F larger_real(F a, F b) { return F(_mm256_max_ps(__m256(a), __m256(b))); }
    LOCKSTEP_WIDE static F smaller_real(F a, F b) { return F(_mm256_min_ps(__m256(a), __m256(b))); }

    // round(x * m / 2^31), ties up, of m >= 0.
    LOCKSTEP_WIDE static V high_multiply(V x, V m) {
        const __m256i half = _mm256_set1_epi64x(1 << 30), odd_x = _mm256_srli_epi64(__m256i(x), 32),
                      odd_m = _mm256_srli_epi64(__m256i(m), 32);
        const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(__m256i(x), __m256i(m)), half);
        const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(odd_x, odd_m), half);
        return V(_mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_add_epi64(odd, odd), 0xaa));
    }

    // The short way: sums have 2^31 more, which makes them unsigned, and their products with 2 m 2^32 m more.
    // What is added to those takes that away again and adds the rounding half of the lower word and, to the
    // upper one, the half of the division and the zero point.
    static constexpr int32_t kBegin = INT32_MIN;
    struct Quick {
        V multiplier, odd, more, odd_more, shift;
    };
    LOCKSTEP_WIDE static Quick quick(V m, V shift, V bump) {
        const __m256i high = __m256i(bump - m - 1), half = _mm256_set1_epi64x(int64_t(1) << 31);
        const __m256i twice = __m256i(add(m, m));
        return {V(twice), V(_mm256_srli_epi64(twice, 32)),
                V(_mm256_or_si256(_mm256_slli_epi64(high, 32), half)),
                V(_mm256_blend_epi32(half, high, 0xaa)), shift};
    }
    LOCKSTEP_WIDE static V rescale(V acc, const Quick& q) {
        const __m256i x = __m256i(acc);
        const __m256i even = _mm256_add_epi64(_mm256_mul_epu32(x, __m256i(q.multiplier)), __m256i(q.more));
        const __m256i odd =
            _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(x, 32), __m256i(q.odd)), __m256i(q.odd_more));
        const V v = V(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa));
        return subtract(v, acc >> 31) >> q.shift;  // one more where the sum is not negative
    }
    // Bounded to int8, all of them.
    LOCKSTEP_WIDE static void store_both(V a, V b, int8_t* out) {
        const __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(__m256i(a), __m256i(b)), 0xd8);
        _mm_storeu_si128(
            reinterpret_cast<__m128i*>(out),
            _mm_packs_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
    }

    // Bounded to int8, the first `count`.
    LOCKSTEP_WIDE static void store(V v, int8_t* out, size_t count) {
        const __m128i low = _mm256_castsi256_si128(__m256i(v)),
                      high = _mm256_extracti128_si256(__m256i(v), 1);
        const __m128i halves = _mm_packs_epi32(low, high);
        const __m128i bytes = _mm_packs_epi16(halves, halves);
        if (count == kLanes) return _mm_storel_epi64(reinterpret_cast<__m128i*>(out), bytes);
        int8_t some[16];
        _mm_storeu_si128(reinterpret_cast<__m128i*>(some), bytes);
        memcpy(out, some, count);
    }

    // Depthwise: slots are what unpacking two 16-bit vectors makes of them, within each 128 bits.
    static constexpr size_t channel_of(size_t slot) {
        return slot % kLanes / 4 * 8 + slot / kLanes * 4 + slot % 4;
    }
    LOCKSTEP_WIDE static void widen_block(const int8_t* from, int16_t* to) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepi8_epi16(v));
    }
    LOCKSTEP_WIDE static void interleave(const int16_t* first, const int16_t* second, int16_t* to) {
        const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first));
        const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_unpacklo_epi16(a, b));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16), _mm256_unpackhi_epi16(a, b));
    }
    LOCKSTEP_WIDE static void two_taps(const int16_t* first, const int16_t* second, const int16_t* w,
                                       V* acc) {
        const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first));
        const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second));
        const auto* weights = reinterpret_cast<const __m256i*>(w);
        acc[0] = add(acc[0], V(_mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), weights[0])));
        acc[1] = add(acc[1], V(_mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), weights[1])));
    }
    LOCKSTEP_WIDE static void store_two(V a, V b, int8_t* out, size_t count) {
        const __m256i halves = _mm256_packs_epi32(__m256i(a), __m256i(b));  // the slots' order undone
        const __m128i bytes =
            _mm_packs_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
        if (count == 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
        int8_t some[16];
        _mm_storeu_si128(reinterpret_cast<__m128i*>(some), bytes);
        memcpy(out, some, count);
    }

    // Sums of each of four vectors.
    LOCKSTEP_WIDE static void totals(const V* v, int32_t* sum) {
        const __m256i ab = _mm256_hadd_epi32(__m256i(v[0]), __m256i(v[1]));
        const __m256i cd = _mm256_hadd_epi32(__m256i(v[2]), __m256i(v[3]));
        const __m256i all_four = _mm256_hadd_epi32(ab, cd);
        _mm_storeu_si128(
            reinterpret_cast<__m128i*>(sum),
            _mm_add_epi32(_mm256_castsi256_si128(all_four), _mm256_extracti128_si256(all_four, 1)));
    }
};

}  // namespace
}  // namespace lockstep::model::kernels
