// AVX512-VNNI: products of unsigned by signed bytes, four a lane, sixteen lanes.
#if defined(__x86_64__) && !defined(LOCKSTEP_REFERENCE_ONLY)
// GCC 12 takes the undefined vectors of its own intrinsics for a mistake (its bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#define LOCKSTEP_TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#include "models/core/kernels/x86.h"

namespace lockstep::model::kernels {
namespace {

struct Avx512 : Bytes32 {
    static constexpr size_t kLanes = 16;
    using V = int32_t __attribute__((vector_size(64)));
    using F = float __attribute__((vector_size(64)));
    using X = uint8_t;
    static constexpr int32_t kOffset = 128;
    static constexpr size_t kTaps = 4;
    static constexpr int kCells = 8;

    LOCKSTEP_WIDE static V load(const void* p) { return V(_mm512_loadu_si512(p)); }
    LOCKSTEP_WIDE static V broadcast(const void* p) { return V(_mm512_set1_epi32(int32_t(load_word(p)))); }
    LOCKSTEP_WIDE static V all(int32_t v) { return V(_mm512_set1_epi32(v)); }
    LOCKSTEP_WIDE static V add(V a, V b) { return V(_mm512_add_epi32(__m512i(a), __m512i(b))); }
    LOCKSTEP_WIDE static V subtract(V a, V b) { return V(_mm512_sub_epi32(__m512i(a), __m512i(b))); }
    LOCKSTEP_WIDE static V larger(V a, V b) { return V(_mm512_max_epi32(__m512i(a), __m512i(b))); }
    LOCKSTEP_WIDE static V smaller(V a, V b) { return V(_mm512_min_epi32(__m512i(a), __m512i(b))); }
    LOCKSTEP_WIDE static V shift_left(V a, V n) { return V(_mm512_sllv_epi32(__m512i(a), __m512i(n))); }
    LOCKSTEP_WIDE static bool any(V mask) { return _mm512_movepi32_mask(__m512i(mask)) != 0; }
    LOCKSTEP_WIDE static V lanes_of_bytes(const int8_t* p) {
        return V(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
    }
    LOCKSTEP_WIDE static V quotient(V a, float n) { return truncated(real(a) / (F{} + n)); }
    LOCKSTEP_WIDE static F real(V v) { return F(_mm512_cvtepi32_ps(__m512i(v))); }
    LOCKSTEP_WIDE static V truncated(F v) { return V(_mm512_cvttps_epi32(__m512(v))); }
    LOCKSTEP_WIDE static F larger_real(F a, F b) { return F(_mm512_max_ps(__m512(a), __m512(b))); }
    LOCKSTEP_WIDE static F smaller_real(F a, F b) { return F(_mm512_min_ps(__m512(a), __m512(b))); }
    LOCKSTEP_WIDE static V high_multiply(V x, V m) {
        const __m512i half = _mm512_set1_epi64(1 << 30), odd_x = _mm512_srli_epi64(__m512i(x), 32),
                      odd_m = _mm512_srli_epi64(__m512i(m), 32);
        const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(__m512i(x), __m512i(m)), half);
        const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(odd_x, odd_m), half);
        return V(_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 31), _mm512_add_epi64(odd, odd)));
    }
    // As of eight lanes (x86.h).
    static constexpr int32_t kBegin = INT32_MIN;
    struct Quick {
        V multiplier, odd, more, odd_more, shift;
    };
    LOCKSTEP_WIDE static Quick quick(V m, V shift, V bump) {
        const __m512i high = __m512i(bump - m - 1), half = _mm512_set1_epi64(int64_t(1) << 31);
        const __m512i twice = __m512i(add(m, m));
        return {V(twice), V(_mm512_srli_epi64(twice, 32)),
                V(_mm512_or_si512(_mm512_slli_epi64(high, 32), half)),
                V(_mm512_mask_blend_epi32(0xaaaa, half, high)), shift};
    }
    LOCKSTEP_WIDE static V rescale(V acc, const Quick& q) {
        const __m512i x = __m512i(acc);
        const __m512i even = _mm512_add_epi64(_mm512_mul_epu32(x, __m512i(q.multiplier)), __m512i(q.more));
        const __m512i odd =
            _mm512_add_epi64(_mm512_mul_epu32(_mm512_srli_epi64(x, 32), __m512i(q.odd)), __m512i(q.odd_more));
        const V v = V(_mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB));
        return subtract(v, acc >> 31) >> q.shift;
    }
    LOCKSTEP_WIDE static void store_both(V a, V b, int8_t* out) {
        store(a, out, kLanes);
        store(b, out + kLanes, kLanes);
    }
    LOCKSTEP_WIDE static void store(V v, int8_t* out, size_t count) {
        const __m128i bytes = _mm512_cvtsepi32_epi8(__m512i(v));
        if (count == kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
        _mm_mask_storeu_epi8(out, __mmask16((1u << count) - 1), bytes);
    }

    LOCKSTEP_WIDE static V mac(V acc, V x, V w) {
        return V(_mm512_dpbusd_epi32(__m512i(acc), __m512i(x), __m512i(w)));
    }
    LOCKSTEP_WIDE static void widen(const int8_t* from, size_t n, uint8_t* to) {
        const __m512i offset = _mm512_set1_epi8(-128);
        size_t i = 0;
        for (; i + 64 <= n; i += 64)
            _mm512_storeu_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), offset));
        if (i == n) return;
        const __mmask64 some = (__mmask64(1) << (n - i)) - 1;
        const __m512i v = _mm512_maskz_loadu_epi8(some, from + i);
        _mm512_mask_storeu_epi8(to + i, some, _mm512_xor_si512(v, offset));
    }
    LOCKSTEP_WIDE static void spread(const uint32_t* four, size_t, uint32_t* to) {
        memcpy(to, four, 4 * kLanes);
    }

    static constexpr size_t channel_of(size_t slot) {
        return slot % kLanes / 4 * 8 + slot / kLanes * 4 + slot % 4;
    }
    LOCKSTEP_WIDE static void widen_block(const int8_t* from, int16_t* to) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        _mm512_storeu_si512(to, _mm512_cvtepi8_epi16(v));
    }
    LOCKSTEP_WIDE static void interleave(const int16_t* first, const int16_t* second, int16_t* to) {
        const __m512i a = _mm512_loadu_si512(first), b = _mm512_loadu_si512(second);
        _mm512_storeu_si512(to, _mm512_unpacklo_epi16(a, b));
        _mm512_storeu_si512(to + 32, _mm512_unpackhi_epi16(a, b));
    }
    LOCKSTEP_WIDE static void two_taps(const int16_t* first, const int16_t* second, const int16_t* w,
                                       V* acc) {
        const __m512i a = _mm512_loadu_si512(first), b = _mm512_loadu_si512(second);
        acc[0] = V(_mm512_dpwssd_epi32(__m512i(acc[0]), _mm512_unpacklo_epi16(a, b), _mm512_loadu_si512(w)));
        acc[1] =
            V(_mm512_dpwssd_epi32(__m512i(acc[1]), _mm512_unpackhi_epi16(a, b), _mm512_loadu_si512(w + 32)));
    }
    LOCKSTEP_WIDE static void store_two(V a, V b, int8_t* out, size_t count) {
        const __m256i bytes = _mm512_cvtsepi16_epi8(_mm512_packs_epi32(__m512i(a), __m512i(b)));
        if (count == 32) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
        _mm256_mask_storeu_epi8(out, (__mmask32(1) << count) - 1, bytes);
    }

    struct Bytes {
        using B = __m512i;
        LOCKSTEP_WIDE static B all(int8_t v) { return _mm512_set1_epi8(v); }
        LOCKSTEP_WIDE static B load(const int8_t* p) { return _mm512_loadu_si512(p); }
        LOCKSTEP_WIDE static B input(const int8_t* p) { return _mm512_xor_si512(load(p), all(-128)); }
        LOCKSTEP_WIDE static void store(B v, int8_t* p) { _mm512_storeu_si512(p, v); }
        LOCKSTEP_WIDE static B low_bytes(B a, B b) { return _mm512_unpacklo_epi8(a, b); }
        LOCKSTEP_WIDE static B high_bytes(B a, B b) { return _mm512_unpackhi_epi8(a, b); }
        LOCKSTEP_WIDE static B low_halves(B a, B b) { return _mm512_unpacklo_epi16(a, b); }
        LOCKSTEP_WIDE static B high_halves(B a, B b) { return _mm512_unpackhi_epi16(a, b); }
        LOCKSTEP_WIDE static B packed(V a, V b, V c, V d) {
            return _mm512_packs_epi16(_mm512_packs_epi32(B(a), B(b)), _mm512_packs_epi32(B(c), B(d)));
        }
    };

    using E = int8_t;
    static constexpr size_t kRowStep = 64, kPairsStep = 16;
    LOCKSTEP_WIDE static V row_step(V acc, const E* x, const int8_t* w) {
        return mac(acc, V(_mm512_xor_si512(__m512i(load(w)), _mm512_set1_epi8(-128))), load(x));
    }
    LOCKSTEP_WIDE static V pairs_step(V acc, const E* x, const int8_t* w) {
        const __m512i order =
            _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kUnpair)));
        const __m512i odd = _mm512_set1_epi64(int64_t(0x8080808000000000));
        return mac(acc, V(_mm512_xor_si512(_mm512_shuffle_epi8(__m512i(load(w)), order), odd)), load(x));
    }
    LOCKSTEP_WIDE static __m256i folded(V v) {
        return _mm256_add_epi32(_mm512_castsi512_si256(__m512i(v)), _mm512_extracti64x4_epi64(__m512i(v), 1));
    }
    LOCKSTEP_WIDE static void totals(const V* v, int32_t* sum) {
        const __m256i ab = _mm256_hadd_epi32(folded(v[0]), folded(v[1]));
        const __m256i cd = _mm256_hadd_epi32(folded(v[2]), folded(v[3]));
        const __m256i all_four = _mm256_hadd_epi32(ab, cd);
        _mm_storeu_si128(
            reinterpret_cast<__m128i*>(sum),
            _mm_add_epi32(_mm256_castsi256_si128(all_four), _mm256_extracti128_si256(all_four, 1)));
    }
    LOCKSTEP_WIDE static void paired_totals(V v, int32_t* sum) {
        const __m256i both = folded(v);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(sum),
                         _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
    }
};

bool supported() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
           __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

}  // namespace

extern const Set kAvx512Vnni;
const Set kAvx512Vnni = kernel_set<Avx512>("avx512-vnni", supported);

}  // namespace lockstep::model::kernels
#endif
