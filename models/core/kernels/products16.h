// Products of int8 weights and int16 activations: what convolutions and fully connected layers over int16
// spend their time on. Integer sums, so that their order does not matter. A product is at most 2^22 in size:
// kNarrowProducts of them stay within 32 bits, which is what a microcontroller adds in; the rest goes by runs
// of that length into 64.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "models/core/kernels/kernels.h"

#if defined(LOCKSTEP_ONE_KERNEL_SET) && defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/mve.h"
#elif defined(LOCKSTEP_ONE_KERNEL_SET)
#include "models/core/kernels/dsp.h"
#endif

namespace lockstep::model::kernels {

constexpr size_t kNarrowProducts = 504;  // below 2^31 / 2^22, and whole vectors

// rows:  sum[r] += weights[r * stride + i] * x[i] over i < n, for r < count.
// lanes: sum[k] += weights[i * weight_step + k] * x[i * x_step + k] over i < n, for k < 4.
//        REQUIRES: at most kNarrowProducts are added to a sum that began as 0.
struct PlainProducts16 {
    static void rows(const int8_t* weights, size_t stride, const int16_t* x, size_t n, size_t count,
                     int64_t* sum) {
        for (size_t r = 0; r < count; ++r) {
            int64_t all = sum[r];
            for (size_t i = 0; i < n; ++i)
                all += int32_t(x[i]) * weights[r * stride + i];
            sum[r] = all;
        }
    }
    static void lanes(const int8_t* weights, size_t weight_step, const int16_t* x, size_t x_step, size_t n,
                      int32_t* sum) {
        for (size_t k = 0; k < 4; ++k) {
            int32_t all = sum[k];
            for (size_t i = 0; i < n; ++i)
                all += int32_t(x[i * x_step + k]) * weights[i * weight_step + k];
            sum[k] = all;
        }
    }
};

// Rows by fours and by runs: block<R> of the kernel adds R rows of at most kNarrowProducts.
template <typename Kernel>
struct ByRuns {
    // A function of its own: the loop needs every register.
    __attribute__((noinline)) static void rows(const int8_t* weights, size_t stride, const int16_t* x,
                                               size_t n, size_t count, int64_t* sum) {
        for (size_t at = 0; at < n; at += kNarrowProducts) {
            const size_t some = n - at < kNarrowProducts ? n - at : kNarrowProducts;
            const int8_t* w = weights + at;
            size_t r = 0;
            for (; r + 4 <= count; r += 4, w += 4 * stride)
                Kernel::template block<4>(w, stride, x + at, some, sum + r);
            for (; r < count; ++r, w += stride)
                Kernel::template block<1>(w, stride, x + at, some, sum + r);
        }
    }
};

#if defined(LOCKSTEP_ONE_KERNEL_SET) && defined(__ARM_FEATURE_MVE)
struct FastProducts16 : ByRuns<FastProducts16> {
    static void lanes(const int8_t* weights, size_t weight_step, const int16_t* x, size_t x_step, size_t n,
                      int32_t* sum) {
        int32x4_t acc = vldrwq_s32(sum);
        for (; n > 0; --n, weights += weight_step, x += x_step)
            acc = vaddq_s32(acc, vmulq_s32(vldrbq_s32(weights), vldrhq_s32(x)));
        vstrwq_s32(sum, acc);
    }

    template <size_t Rows>
    static void block(const int8_t* weights, size_t stride, const int16_t* x, size_t n, int64_t* sum) {
        int32_t acc[Rows] = {};
        for (; n >= 8; n -= 8, weights += 8, x += 8) {
            const int16x8_t v = vldrhq_s16(x);
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r)
                acc[r] = vmladavaq_s16(acc[r], vldrbq_s16(weights + r * stride), v);
        }
        if (n > 0) {
            const mve_pred16_t first = vctp16q(uint32_t(n));
            const int16x8_t v = vldrhq_z_s16(x, first);
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r)
                acc[r] = vmladavaq_p_s16(acc[r], vldrbq_z_s16(weights + r * stride, first), v, first);
        }
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; ++r)
            sum[r] += acc[r];
    }
};
#elif defined(LOCKSTEP_ONE_KERNEL_SET)
struct FastProducts16 : ByRuns<FastProducts16> {
    static void lanes(const int8_t* weights, size_t weight_step, const int16_t* x, size_t x_step, size_t n,
                      int32_t* sum) {
        int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
        for (; n > 0; --n, weights += weight_step, x += x_step) {
            const uint32_t w = load4(weights), a = load2(x), b = load2(x + 2);
            const auto w02 = int32_t(even(w)), w13 = int32_t(odd(w));
            s0 = __smlabb(int32_t(a), w02, s0);
            s1 = __smlatb(int32_t(a), w13, s1);
            s2 = __smlabt(int32_t(b), w02, s2);
            s3 = __smlatt(int32_t(b), w13, s3);
        }
        sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
    }

    template <size_t Rows>
    static void block(const int8_t* weights, size_t stride, const int16_t* x, size_t n, int64_t* sum) {
        int32_t acc[Rows] = {};
        for (; n >= 4; n -= 4, weights += 4, x += 4) {
            const uint32_t a = load2(x), b = load2(x + 2);
            // Halfwords 0 and 2, and 1 and 3, as the weights come apart.
            const uint32_t low = (a & 0xFFFF) | b << 16, high = a >> 16 | (b & 0xFFFF0000);
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r) {
                const uint32_t w = load4(weights + r * stride);
                acc[r] = __smlad(int16x2_t(even(w)), int16x2_t(low), acc[r]);
                acc[r] = __smlad(int16x2_t(odd(w)), int16x2_t(high), acc[r]);
            }
        }
        for (; n > 0; --n, ++weights, ++x)
#pragma GCC unroll 4
            for (size_t r = 0; r < Rows; ++r)
                acc[r] += int32_t(*x) * weights[r * stride];
#pragma GCC unroll 4
        for (size_t r = 0; r < Rows; ++r)
            sum[r] += acc[r];
    }

  private:
    static uint32_t load2(const int16_t* p) {
        uint32_t v;
        memcpy(&v, p, 4);  // an unaligned LDR
        return v;
    }
};
#else
using FastProducts16 = PlainProducts16;
#endif

}  // namespace lockstep::model::kernels
