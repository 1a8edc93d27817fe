// Several rows of int8 weights times one vector, and their sums brought to 16 bits: what recurrent layers
// spend their time on. Integer sums, so that their order does not matter; prepare() proved that none leaves
// 32 bits.
#pragma once

#include "models/core/kernels/kernels.h"
#include "models/core/quant.h"

#if defined(LOCKSTEP_ONE_KERNEL_SET) && defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/mve.h"
#elif defined(LOCKSTEP_ONE_KERNEL_SET)
#include "models/core/kernels/dsp.h"
#endif
#if defined(LOCKSTEP_ONE_KERNEL_SET)
#include <arm_acle.h>
#endif

namespace lockstep::model::kernels {

// add: sum[r] += weights[r * stride + i] * x[i] over i < n, for r < Rows.
// rescale: multiply_quantised(), then into int16.
struct PlainProducts {
    static int32_t rescale(int32_t acc, int32_t multiplier, int32_t shift) {
        return clamp(multiply_quantised(acc, multiplier, shift), INT16_MIN, INT16_MAX);
    }
    template <size_t Rows>
    static void add(const int8_t* weights, size_t stride, const int8_t* x, size_t n, int32_t* sum) {
        for (size_t r = 0; r < Rows; ++r)
            for (size_t i = 0; i < n; ++i)
                sum[r] += weights[r * stride + i] * x[i];
    }
};

#if defined(LOCKSTEP_ONE_KERNEL_SET)
// A factor of 0, or one that shifts left.
__attribute__((noinline, cold)) inline int32_t rare_rescale(int32_t acc, int32_t multiplier, int32_t shift) {
    return PlainProducts::rescale(acc, multiplier, shift);
}
// As Quick (dsp.h) does it.
inline int32_t quick_rescale(int32_t acc, int32_t multiplier, int32_t shift) {
    if (shift >= 0 || multiplier < 1 << 30) return rare_rescale(acc, multiplier, shift);
    int32_t v;
    asm("smmlar %0, %1, %2, %1" : "=r"(v) : "r"(acc), "r"(int32_t(uint32_t(multiplier) << 1)));
    v += v >> 31;  // ties away from zero
    return __ssat(((v >> ~shift) + 1) >> 1, 16);
}
#endif

#if defined(LOCKSTEP_ONE_KERNEL_SET) && defined(__ARM_FEATURE_MVE)
struct FastProducts {
    static int32_t rescale(int32_t acc, int32_t multiplier, int32_t shift) {
        return quick_rescale(acc, multiplier, shift);
    }
    template <size_t Rows>
    static void add(const int8_t* weights, size_t stride, const int8_t* x, size_t n, int32_t* sum) {
        for (; n >= 16; n -= 16, weights += 16, x += 16) {
            const int8x16_t v = vldrbq_s8(x);
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r)
                sum[r] = vmladavaq_s8(sum[r], vldrbq_s8(weights + r * stride), v);
        }
        if (n == 0) return;
        const mve_pred16_t some = vctp8q(uint32_t(n));
        const int8x16_t v = vldrbq_z_s8(x, some);
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; ++r)
            sum[r] = vmladavaq_p_s8(sum[r], vldrbq_z_s8(weights + r * stride, some), v, some);
    }
};
#elif defined(LOCKSTEP_ONE_KERNEL_SET)
struct FastProducts {
    static int32_t rescale(int32_t acc, int32_t multiplier, int32_t shift) {
        return quick_rescale(acc, multiplier, shift);
    }
    template <size_t Rows>
    static void add(const int8_t* weights, size_t stride, const int8_t* x, size_t n, int32_t* sum) {
        int32_t acc[Rows];
        memcpy(acc, sum, sizeof acc);
        for (; n >= 4; n -= 4, weights += 4, x += 4) {
            const uint32_t v = load4(x), low = even(v), high = odd(v);
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r) {
                const uint32_t w = load4(weights + r * stride);
                acc[r] = __smlad(int16x2_t(even(w)), int16x2_t(low), acc[r]);
                acc[r] = __smlad(int16x2_t(odd(w)), int16x2_t(high), acc[r]);
            }
        }
        memcpy(sum, acc, sizeof acc);
        PlainProducts::add<Rows>(weights, stride, x, n, sum);
    }
};
#else
using FastProducts = PlainProducts;
#endif

}  // namespace lockstep::model::kernels
