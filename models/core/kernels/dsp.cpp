#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {

bool quick_channels(const ChannelArrays& a, size_t channels, size_t taps) {
    constexpr int32_t kHalf = 1 << 29;  // of the room for the bias, the other for the products
    if (taps >= size_t(kHalf >> 14)) return false;
    // Sign bit of every shift and bit 30 of every multiplier, and biases within [-kHalf, kHalf).
    int32_t shifts = -1, multipliers = -1;
    uint32_t biases = 0;
    for (size_t o = 0; o < channels; ++o) {
        shifts &= a.shift[o];
        multipliers &= a.multiplier[o];
        biases |= uint32_t(a.bias[o]) + uint32_t(kHalf);
    }
    return shifts < 0 && (multipliers & 1 << 30) != 0 && biases < 2u * kHalf;
}

void clamp_bytes(int8_t* p, size_t n, const ClampParams& clamp) {
    if (clamp.low == -128 && clamp.high == 127) return;
    for (size_t i = 0; i < n; ++i)
        p[i] = int8_t(model::clamp(p[i], clamp.low, clamp.high));
}

}  // namespace lockstep::model::kernels
#endif
