// What the kernels for the Armv7E-M DSP instructions (Cortex-M4, M7, M33) share: two 16-bit products an
// instruction, and rescaling in six.
#pragma once

#include <arm_acle.h>
#include <string.h>

#include "models/core/kernels/dsp_choice.h"
#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"

namespace lockstep::model::kernels {

inline uint32_t load4(const int8_t* p) {
    uint32_t v;
    memcpy(&v, p, 4);  // an unaligned LDR
    return v;
}

// Bytes 0 and 2, and bytes 1 and 3, as signed halfwords.
inline uint32_t even(uint32_t v) {
    return uint32_t(__sxtb16(v));
}
inline uint32_t odd(uint32_t v) {
    uint32_t out;
    asm("sxtb16 %0, %1, ror #8" : "=r"(out) : "r"(v));
    return out;
}

// requantise() for the channels that quick_channels() (dsp_choice.cpp) accepts, before the clamp to [low,
// high]. // SMMLAR rounds (2 m - 2^32) x + 2^32 x, which is (x m + 2^30) >> 31.
struct Quick {
    int32_t twice, right;
    // REQUIRES: shift < 0.
    Quick(int32_t multiplier, int32_t shift) : twice(int32_t(uint32_t(multiplier) << 1)), right(~shift) {}
    int8_t operator()(int32_t acc, int32_t zero_point) const {
        int32_t v;
        asm("smmlar %0, %1, %2, %1" : "=r"(v) : "r"(acc), "r"(twice));
        v += v >> 31;  // ties away from zero
        return int8_t(__ssat(zero_point + (((v >> right) + 1) >> 1), 8));
    }
};

// The layer's own bounds, when they are narrower than int8.
void clamp_bytes(int8_t* p, size_t n, const ClampParams& clamp);

}  // namespace lockstep::model::kernels
