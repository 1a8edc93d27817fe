// AVX2: products of 16-bit values, two a lane.
#if defined(__x86_64__) && !defined(LOCKSTEP_REFERENCE_ONLY)
#define LOCKSTEP_TARGET __attribute__((target("avx2")))
#include "models/core/kernels/x86.h"

namespace lockstep::model::kernels {
namespace {

struct Avx2 : Lanes8 {
    using X = int16_t;
    static constexpr int32_t kOffset = 0;
    static constexpr size_t kTaps = 2;
    static constexpr int kCells = 6;

    LOCKSTEP_WIDE static V mac(V acc, V x, V w) {
        return add(acc, V(_mm256_madd_epi16(__m256i(x), __m256i(w))));
    }
    LOCKSTEP_WIDE static void widen(const int8_t* from, size_t n, int16_t* to) {
        size_t i = 0;
        for (; i + 16 <= n; i += 16)
            _mm256_storeu_si256(
                reinterpret_cast<__m256i*>(to + i),
                _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
        for (; i < n; ++i)
            to[i] = int16_t(+from[i]);
    }
    // Weights 0 and 1 of each lane, then 2 and 3.
    LOCKSTEP_WIDE static void spread(const uint32_t* four, size_t step, uint32_t* to) {
        const __m256i v = __m256i(load(four));
        const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8), odd = _mm256_srai_epi16(v, 8);
        auto* out = reinterpret_cast<__m256i*>(to);
        _mm256_storeu_si256(out, _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa));
        out = reinterpret_cast<__m256i*>(to + step);
        _mm256_storeu_si256(out, _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xaa));
    }

    using E = int16_t;
    static constexpr size_t kRowStep = 16, kPairsStep = 4;
    LOCKSTEP_WIDE static __m256i wide(__m128i bytes) { return _mm256_cvtepi8_epi16(bytes); }
    LOCKSTEP_WIDE static V row_step(V acc, const E* x, const int8_t* w) {
        return mac(acc, load(x), V(wide(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)))));
    }
    LOCKSTEP_WIDE static V pairs_step(V acc, const E* x, const int8_t* w) {
        const __m128i order = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kUnpair));
        const __m128i even = _mm_set1_epi64x(int64_t(0x80808080));
        const __m128i v = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)), order);
        return mac(acc, load(x), V(wide(_mm_xor_si128(v, even))));
    }
    LOCKSTEP_WIDE static void paired_totals(V v, int32_t* sum) {
        const __m128i low = _mm256_castsi256_si128(__m256i(v)),
                      high = _mm256_extracti128_si256(__m256i(v), 1);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(sum), _mm_hadd_epi32(low, high));
    }
};

bool supported() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

}  // namespace

extern const Set kAvx2;
const Set kAvx2 = kernel_set<Avx2>("avx2", supported);

}  // namespace lockstep::model::kernels
#endif
