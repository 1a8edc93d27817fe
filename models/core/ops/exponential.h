// exp and what follows from it in float32 without libm: the same bits everywhere, every operation rounded on
// its own. Relative error below 3e-7 against the exact function (tests/models/test_classical.py).
#pragma once

#include <stdint.h>
#include <string.h>

namespace lockstep::model {

inline float exponential(float x) {
    if (!(x > -87.0f)) return 0.0f;  // NaN as well
    if (x > 88.0f) x = 88.0f;
    const float turns = x * 1.44269504f;
    const auto k = int32_t(turns + (turns < 0 ? -0.5f : 0.5f));
    // ln 2 in two parts, the first with few bits, so that k times it is exact.
    const float r = (x - float(k) * 0.693359375f) + float(k) * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const float y = (p * (r * r) + r) + 1.0f;
    const uint32_t bits = uint32_t(k + 127) << 23;  // 2^k; k is within -126..127
    float power;
    memcpy(&power, &bits, 4);
    return y * power;
}

inline float logistic(float x) {
    return 1.0f / (1.0f + exponential(-x));
}

}  // namespace lockstep::model
