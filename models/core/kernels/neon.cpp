// NEON, for AArch64: products of 16-bit values, two a lane; every processor of the architecture has it.
#if defined(__aarch64__) && !defined(LOCKSTEP_REFERENCE_ONLY)
#define LOCKSTEP_TARGET
#include "models/core/kernels/neon.h"

namespace lockstep::model::kernels {
namespace {

struct Neon : Lanes4 {
    using X = int16_t;
    static constexpr int32_t kOffset = 0;
    static constexpr size_t kTaps = 2;
    static constexpr int kCells = 8;

    // Two products a lane, of pairs of 16-bit values: those of lanes 0 and 1, and of 2 and 3, are added
    // pairwise.
    LOCKSTEP_WIDE static V mac(V acc, V x, V w) {
        const int16x8_t a = vreinterpretq_s16_s32(x), b = vreinterpretq_s16_s32(w);
        const V low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
        return vaddq_s32(acc, vpaddq_s32(low, vmull_high_s16(a, b)));
    }
    LOCKSTEP_WIDE static void widen(const int8_t* from, size_t n, int16_t* to) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            vst1q_s16(to + i, vmovl_s8(vld1_s8(from + i)));
        for (; i < n; ++i)
            to[i] = int16_t(+from[i]);
    }
    // Weights 0 and 1 of each lane, then 2 and 3.
    LOCKSTEP_WIDE static void spread(const uint32_t* four, size_t step, uint32_t* to) {
        const int8x16_t v = vreinterpretq_s8_s32(load(four));
        const int32x4_t low = vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(v))),
                        high = vreinterpretq_s32_s16(vmovl_high_s8(v));
        vst1q_u32(to, vreinterpretq_u32_s32(vuzp1q_s32(low, high)));
        vst1q_u32(to + step, vreinterpretq_u32_s32(vuzp2q_s32(low, high)));
    }
    using E = int8_t;
    static constexpr size_t kRowStep = 16, kPairsStep = 4;
    LOCKSTEP_WIDE static V products(V acc, int8x16_t x, int8x16_t w) {
        acc = vpadalq_s16(acc, vmull_s8(vget_low_s8(x), vget_low_s8(w)));
        return vpadalq_s16(acc, vmull_high_s8(x, w));
    }
    LOCKSTEP_WIDE static V row_step(V acc, const E* x, const int8_t* w) {
        return products(acc, vld1q_s8(x), vld1q_s8(w));
    }
    LOCKSTEP_WIDE static V pairs_step(V acc, const E* x, const int8_t* w) {
        const int8x16_t v = unpaired(w);
        const int8x16_t in = vld1q_s8(x);
        // Eight products, two for each half of an output's four.
        const int16x8_t low = vmull_s8(vget_low_s8(in), vget_low_s8(v)), high = vmull_high_s8(in, v);
        return vaddq_s32(acc, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
    }
};

bool supported() {
    return true;
}

}  // namespace

extern const Set kNeon;
const Set kNeon = kernel_set<Neon>("neon", supported);

}  // namespace lockstep::model::kernels
#endif
