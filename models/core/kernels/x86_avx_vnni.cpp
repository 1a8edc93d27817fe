// AVX-VNNI: products of unsigned by signed bytes, four a lane.
#if defined(__x86_64__) && !defined(LOCKSTEP_REFERENCE_ONLY)
// For tests on processors that have this instruction in its other encoding only.
#if defined(LOCKSTEP_AVX_VNNI_AS_AVX512)
#define LOCKSTEP_TARGET __attribute__((target("avx2,avx512vl,avx512vnni")))
#define LOCKSTEP_DOT _mm256_dpbusd_epi32
#else
#define LOCKSTEP_TARGET __attribute__((target("avx2,avxvnni")))
#define LOCKSTEP_DOT _mm256_dpbusd_avx_epi32
#endif
#include "models/core/kernels/x86.h"

namespace lockstep::model::kernels {
namespace {

struct AvxVnni : Lanes8 {
    using X = uint8_t;
    static constexpr int32_t kOffset = 128;
    static constexpr size_t kTaps = 4;
    static constexpr int kCells = 6;

    LOCKSTEP_WIDE static V mac(V acc, V x, V w) {
        return V(LOCKSTEP_DOT(__m256i(acc), __m256i(x), __m256i(w)));
    }
    LOCKSTEP_WIDE static void widen(const int8_t* from, size_t n, uint8_t* to) {
        size_t i = 0;
        const __m256i offset = _mm256_set1_epi8(-128);
        for (; i + 32 <= n; i += 32) {
            const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_xor_si256(v, offset));
        }
        for (; i < n; ++i)
            to[i] = uint8_t(from[i] + 128);
    }
    LOCKSTEP_WIDE static void spread(const uint32_t* four, size_t, uint32_t* to) {
        memcpy(to, four, 4 * kLanes);
    }

    struct Bytes {
        using B = __m256i;
        LOCKSTEP_WIDE static B all(int8_t v) { return _mm256_set1_epi8(v); }
        LOCKSTEP_WIDE static B load(const int8_t* p) { return load_bytes(p); }
        LOCKSTEP_WIDE static B input(const int8_t* p) { return _mm256_xor_si256(load(p), all(-128)); }
        LOCKSTEP_WIDE static void store(B v, int8_t* p) { store_bytes(v, p); }
        LOCKSTEP_WIDE static B low_bytes(B a, B b) { return _mm256_unpacklo_epi8(a, b); }
        LOCKSTEP_WIDE static B high_bytes(B a, B b) { return _mm256_unpackhi_epi8(a, b); }
        LOCKSTEP_WIDE static B low_halves(B a, B b) { return _mm256_unpacklo_epi16(a, b); }
        LOCKSTEP_WIDE static B high_halves(B a, B b) { return _mm256_unpackhi_epi16(a, b); }
        LOCKSTEP_WIDE static B packed(V a, V b, V c, V d) {
            return _mm256_packs_epi16(_mm256_packs_epi32(B(a), B(b)), _mm256_packs_epi32(B(c), B(d)));
        }
    };

    using E = int8_t;
    static constexpr size_t kRowStep = 32, kPairsStep = 8;
    LOCKSTEP_WIDE static V row_step(V acc, const E* x, const int8_t* w) {
        return mac(acc, V(__m256i(load(w)) ^ _mm256_set1_epi8(-128)), load(x));
    }
    // An even output's weights have their offset of 128 already.
    LOCKSTEP_WIDE static V pairs_step(V acc, const E* x, const int8_t* w) {
        const __m256i order =
            _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kUnpair)));
        const __m256i odd = _mm256_set1_epi64x(int64_t(0x8080808000000000));
        return mac(acc, V(_mm256_xor_si256(_mm256_shuffle_epi8(__m256i(load(w)), order), odd)), load(x));
    }
    LOCKSTEP_WIDE static void paired_totals(V v, int32_t* sum) {
        const __m128i low = _mm256_castsi256_si128(__m256i(v)),
                      high = _mm256_extracti128_si256(__m256i(v), 1);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(sum), _mm_add_epi32(low, high));
    }
};

#if !defined(LOCKSTEP_AVX_VNNI_AS_AVX512)
uint32_t cpuid_7(uint32_t part) {
    uint32_t a = 7, b = 0, c = part, d = 0;
    asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return a;
}
#endif

bool supported() {
    __builtin_cpu_init();
#if defined(LOCKSTEP_AVX_VNNI_AS_AVX512)
    return __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
#else
    // Compilers of today do not all know this one by name: leaf 7, 1, bit 4.
    return __builtin_cpu_supports("avx2") != 0 && cpuid_7(0) >= 1 && (cpuid_7(1) >> 4 & 1) != 0;
#endif
}

}  // namespace

extern const Set kAvxVnni;
const Set kAvxVnni = kernel_set<AvxVnni>("avx-vnni", supported);

}  // namespace lockstep::model::kernels
#endif
