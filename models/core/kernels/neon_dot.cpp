// NEON with the dot product of Armv8.2: products of bytes, four a lane.
#if defined(__aarch64__) && !defined(LOCKSTEP_REFERENCE_ONLY)
#define LOCKSTEP_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#include "models/core/kernels/neon.h"
#if defined(__linux__)
extern "C" unsigned long getauxval(unsigned long) noexcept;  // its header is a hosted one
#endif

namespace lockstep::model::kernels {
namespace {

struct NeonDot : Lanes4 {
    using X = int8_t;
    static constexpr int32_t kOffset = 0;
    static constexpr size_t kTaps = 4;
    static constexpr int kCells = 10;

    LOCKSTEP_WIDE static V mac(V acc, V x, V w) {
        return vdotq_s32(acc, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w));
    }
    LOCKSTEP_WIDE static void widen(const int8_t* from, size_t n, int8_t* to) { memcpy(to, from, n); }
    LOCKSTEP_WIDE static void spread(const uint32_t* four, size_t, uint32_t* to) {
        memcpy(to, four, 4 * kLanes);
    }

    struct Bytes {
        using B = int8x16_t;
        LOCKSTEP_WIDE static B all(int8_t v) { return vdupq_n_s8(v); }
        LOCKSTEP_WIDE static B load(const int8_t* p) { return vld1q_s8(p); }
        LOCKSTEP_WIDE static B input(const int8_t* p) { return vld1q_s8(p); }
        LOCKSTEP_WIDE static void store(B v, int8_t* p) { vst1q_s8(p, v); }
        LOCKSTEP_WIDE static B low_bytes(B a, B b) { return vzip1q_s8(a, b); }
        LOCKSTEP_WIDE static B high_bytes(B a, B b) { return vzip2q_s8(a, b); }
        LOCKSTEP_WIDE static B low_halves(B a, B b) {
            return vreinterpretq_s8_s16(vzip1q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b)));
        }
        LOCKSTEP_WIDE static B high_halves(B a, B b) {
            return vreinterpretq_s8_s16(vzip2q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b)));
        }
        LOCKSTEP_WIDE static B packed(V a, V b, V c, V d) {
            return vcombine_s8(vqmovn_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b))),
                               vqmovn_s16(vcombine_s16(vqmovn_s32(c), vqmovn_s32(d))));
        }
    };

    using E = int8_t;
    static constexpr size_t kRowStep = 16, kPairsStep = 4;
    LOCKSTEP_WIDE static V row_step(V acc, const E* x, const int8_t* w) {
        return vdotq_s32(acc, vld1q_s8(x), vld1q_s8(w));
    }
    LOCKSTEP_WIDE static V pairs_step(V acc, const E* x, const int8_t* w) {
        return vdotq_s32(acc, vld1q_s8(x), unpaired(w));
    }
};

bool supported() {
#if defined(__ARM_FEATURE_DOTPROD)
    return true;
#elif defined(__linux__)
    constexpr unsigned long kCapabilities = 16, kDotProduct = 1ul << 20;  // AT_HWCAP, HWCAP_ASIMDDP
    return (getauxval(kCapabilities) & kDotProduct) != 0;
#else
    return false;
#endif
}

}  // namespace

extern const Set kNeonDot;
const Set kNeonDot = kernel_set<NeonDot>("neon-dot", supported);

}  // namespace lockstep::model::kernels
#endif
