// What the kernel sets for AArch64 share: four lanes. Include it once LOCKSTEP_TARGET is defined.
#pragma once

#include <arm_neon.h>

#include "models/core/kernels/wide_set.h"

namespace lockstep::model::kernels {
namespace {

struct Lanes4 {
    static constexpr size_t kLanes = 4;
    using V = int32x4_t;
    using F = float32x4_t;
    LOCKSTEP_WIDE static V load(const void* p) {
        return vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p)));
    }
    LOCKSTEP_WIDE static V broadcast(const void* p) { return vdupq_n_s32(int32_t(load_word(p))); }
    LOCKSTEP_WIDE static V all(int32_t v) { return vdupq_n_s32(v); }
    LOCKSTEP_WIDE static V add(V a, V b) { return vaddq_s32(a, b); }
    LOCKSTEP_WIDE static V subtract(V a, V b) { return vsubq_s32(a, b); }
    LOCKSTEP_WIDE static V larger(V a, V b) { return vmaxq_s32(a, b); }
    LOCKSTEP_WIDE static V smaller(V a, V b) { return vminq_s32(a, b); }
    LOCKSTEP_WIDE static V shift_left(V a, V n) { return vshlq_s32(a, n); }
    LOCKSTEP_WIDE static bool any(V mask) { return vmaxvq_u32(vreinterpretq_u32_s32(mask)) != 0; }
    // (2 x m + 2^31) / 2^32.
    LOCKSTEP_WIDE static V high_multiply(V x, V m) { return vqrdmulhq_s32(x, m); }
    static constexpr int32_t kBegin = 0;
    struct Quick {
        V multiplier, bump, right;
    };
    LOCKSTEP_WIDE static Quick quick(V m, V shift, V bump) { return {m, bump, vnegq_s32(shift)}; }
    LOCKSTEP_WIDE static V rescale(V acc, const Quick& q) {
        const V whole = high_multiply(acc, q.multiplier);
        return vshlq_s32(vaddq_s32(vsraq_n_s32(whole, whole, 31), q.bump), q.right);
    }
    LOCKSTEP_WIDE static void store_both(V a, V b, int8_t* out) { store_two(a, b, out, 2 * kLanes); }
    LOCKSTEP_WIDE static F real(V v) { return vcvtq_f32_s32(v); }
    LOCKSTEP_WIDE static V truncated(F v) { return vcvtq_s32_f32(v); }
    LOCKSTEP_WIDE static F larger_real(F a, F b) { return vmaxq_f32(a, b); }
    LOCKSTEP_WIDE static F smaller_real(F a, F b) { return vminq_f32(a, b); }
    LOCKSTEP_WIDE static V quotient(V a, float n) { return truncated(vdivq_f32(real(a), vdupq_n_f32(n))); }
    LOCKSTEP_WIDE static V lanes_of_bytes(const int8_t* p) {
        const int8x8_t bytes = vreinterpret_s8_u32(vdup_n_u32(load_word(p)));
        return vmovl_s16(vget_low_s16(vmovl_s8(bytes)));
    }
    LOCKSTEP_WIDE static void store(V v, int8_t* out, size_t count) {
        const int16x4_t halves = vqmovn_s32(v);
        const int8x8_t bytes = vqmovn_s16(vcombine_s16(halves, halves));
        const uint32_t word = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
        memcpy(out, &word, count < kLanes ? count : kLanes);
    }

    LOCKSTEP_WIDE static void turn(const int8_t* w, size_t row, uint32_t* to, size_t step) {
        for (size_t i = 0; i < 4; ++i)
            for (size_t k = 0; k < 4; ++k)
                to[k * step + i] = load_word(w + i * row + 4 * k);
    }

    // Depthwise: slots are channels; the second tap's weights lie behind the first's.
    static constexpr size_t channel_of(size_t slot) { return slot; }
    LOCKSTEP_WIDE static void pick(const int8_t* source, const uint8_t* from, int16_t* to) {
        vst1q_s16(to, vmovl_s8(vqtbl1_s8(vld1q_s8(source), vld1_u8(from))));
    }
    LOCKSTEP_WIDE static void fill(int32_t v, int16_t* to) { vst1q_s16(to, vdupq_n_s16(int16_t(v))); }
    LOCKSTEP_WIDE static void widen_block(const int8_t* from, int16_t* to) {
        vst1q_s16(to, vmovl_s8(vld1_s8(from)));
    }
    LOCKSTEP_WIDE static void interleave(const int16_t* first, const int16_t* second, int16_t* to) {
        vst1q_s16(to, vld1q_s16(first));
        vst1q_s16(to + 8, vld1q_s16(second));
    }
    LOCKSTEP_WIDE static void two_taps(const int16_t* first, const int16_t* second, const int16_t* w,
                                       V* acc) {
        const int16x8_t a = vld1q_s16(first), b = vld1q_s16(second), u = vld1q_s16(w), v = vld1q_s16(w + 8);
        acc[0] =
            vmlal_s16(vmlal_s16(acc[0], vget_low_s16(a), vget_low_s16(u)), vget_low_s16(b), vget_low_s16(v));
        acc[1] = vmlal_high_s16(vmlal_high_s16(acc[1], a, u), b, v);
    }
    LOCKSTEP_WIDE static void store_two(V a, V b, int8_t* out, size_t count) {
        const int8x8_t bytes = vqmovn_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)));
        if (count == 8) return vst1_s8(out, bytes);
        int8_t some[8];
        vst1_s8(some, bytes);
        memcpy(out, some, count);
    }

    // Four paired weights of four outputs, a row of four after the other.
    LOCKSTEP_WIDE static int8x16_t unpaired(const int8_t* w) {
        constexpr uint8_t kUnpair[16] = {0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15};
        const int8x16_t even = vreinterpretq_s8_u64(vdupq_n_u64(0x80808080));
        return veorq_s8(vqtbl1q_s8(vld1q_s8(w), vld1q_u8(kUnpair)), even);
    }
    LOCKSTEP_WIDE static void totals(const V* v, int32_t* sum) {
        for (size_t i = 0; i < 4; ++i)
            sum[i] = vaddvq_s32(v[i]);
    }
    LOCKSTEP_WIDE static void paired_totals(V v, int32_t* sum) { vst1q_s32(sum, v); }

    using B = int8x16_t;
    LOCKSTEP_WIDE static B load_bytes(const int8_t* p) { return vld1q_s8(p); }
    LOCKSTEP_WIDE static void store_bytes(B v, int8_t* p) { vst1q_s8(p, v); }
    LOCKSTEP_WIDE static B all_bytes(int8_t v) { return vdupq_n_s8(v); }
    LOCKSTEP_WIDE static B larger_bytes(B a, B b) { return vmaxq_s8(a, b); }
    LOCKSTEP_WIDE static B smaller_bytes(B a, B b) { return vminq_s8(a, b); }
};

}  // namespace
}  // namespace lockstep::model::kernels
