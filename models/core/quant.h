// The arithmetic of the int8 operators: TFLite's reference rounding, which is the contract every fast
// kernel is held to. A real factor is multiplier * 2^(shift - 31), multiplier 0 or in [2^30, 2^31).
#pragma once

#include <stdint.h>

namespace lockstep::model {

constexpr int32_t kMinShift = -31;
constexpr int32_t kMaxShift = 30;

// What a plan may hold; the functions below rely on it.
constexpr bool valid_multiplier(int32_t multiplier, int32_t shift) {
    return multiplier >= 0 && shift >= kMinShift && shift <= kMaxShift;
}

// round(x * m / 2^31), ties up. REQUIRES: m >= 0, so that the result fits.
constexpr int32_t high_multiply(int32_t x, int32_t m) {
    return int32_t((int64_t(x) * m + (int64_t(1) << 30)) >> 31);
}

// round(x / 2^n), ties away from zero. REQUIRES: 0 <= n <= 31.
constexpr int32_t rounding_shift(int32_t x, int32_t n) {
    const uint32_t mask = (uint32_t(1) << n) - 1;
    const uint32_t rest = uint32_t(x) & mask;
    const uint32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return int32_t(int64_t(x) >> n) + (rest > threshold ? 1 : 0);
}

// Rounds twice, once in each step. A left shift that leaves 32 bits wraps, as it does in the reference.
constexpr int32_t multiply_quantised(int32_t x, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return rounding_shift(high_multiply(int32_t(uint32_t(x) << left), multiplier), right);
}

constexpr int32_t clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

// Accumulator -> int8 of the output tensor.
constexpr int8_t requantise(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point, int32_t low,
                            int32_t high) {
    // 64 bits: a damaged plan may scale up to the edge of int32 before the zero point is added.
    const int64_t v = int64_t(multiply_quantised(acc, multiplier, shift)) + zero_point;
    return int8_t(v < low ? low : v > high ? high : v);
}

// The same for the 64-bit accumulators of int16 activations, rounded once, ties up; the factor is
// multiplier * 2^-shift with 15 bits of multiplier. What leaves int16 saturates.
// REQUIRES: valid_wide_multiplier(), |acc| < kWideLimit, so that no product leaves 63 bits.
constexpr int64_t kWideLimit = int64_t(1) << 47;
constexpr int32_t kMinWideShift = 8;
constexpr int32_t kMaxWideShift = 46;

constexpr bool valid_wide_multiplier(int32_t multiplier, int32_t shift) {
    return multiplier >= 0 && multiplier <= INT16_MAX && shift >= kMinWideShift && shift <= kMaxWideShift;
}

constexpr int16_t requantise_wide(int64_t acc, int32_t multiplier, int32_t shift, int32_t low, int32_t high) {
    const int64_t v = (acc * multiplier + (int64_t(1) << (shift - 1))) >> shift;
    return int16_t(v < low ? low : v > high ? high : v);
}

}  // namespace lockstep::model
