// What the kernels for Helium (Cortex-M55; integer vectors only) share. Loops that a tail-predicated
// wlstp/letp ends are inline assembly: GCC 12 moves predicates through memory when it makes them from
// intrinsics.
#pragma once

#include <arm_mve.h>
#include <string.h>

#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"

namespace lockstep::model::kernels {

inline int32x4_t lanes(int32_t a, int32_t b, int32_t c, int32_t d) {
    int32x4_t v;
    asm("vmov %q0[2], %q0[0], %1, %3\n vmov %q0[3], %q0[1], %2, %4"
        : "=&t"(v)
        : "r"(a), "r"(b), "r"(c), "r"(d));
    return v;
}

// requantise() of four accumulators. Doubling high multiply, rounded: (2 x m + 2^31) >> 32; then a rounding
// shift, which takes ties up, of a value made one smaller where it is negative.
struct Bounds {
    int32_t zero_point;
    int32x4_t low, high;
};
inline int32x4_t finish(int32x4_t v, const Bounds& b) {
    return vminq_s32(vmaxq_s32(vqaddq_n_s32(v, b.zero_point), b.low), b.high);
}
inline int32x4_t rescale(int32x4_t acc, int32x4_t multiplier, int32x4_t shift, const Bounds& b) {
    const int32x4_t zero = vdupq_n_s32(0);
    const int32x4_t right = vminq_s32(shift, zero);
    int32x4_t v = vqrdmulhq_s32(vshlq_s32(acc, vmaxq_s32(shift, zero)), multiplier);
    v = vqaddq_s32(v, vshrq_n_s32(vandq_s32(v, right), 31));
    return finish(vrshlq_s32(v, right), b);
}
// Whether every channel's factor is below one half.
inline bool shifts_right(const ChannelArrays& a, size_t channels) {
    int32_t all = -1;
    for (size_t o = 0; o < channels; ++o)
        all &= a.shift[o];
    return all < 0;
}

inline Bounds bounds_of(const Tensor& y, const ClampParams& clamp) {
    return {y.zero_point, vdupq_n_s32(clamp.low), vdupq_n_s32(clamp.high)};
}

}  // namespace lockstep::model::kernels
