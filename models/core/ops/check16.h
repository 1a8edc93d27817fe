// What the prepare() functions of the int16 operators have in common.
#pragma once

#include "models/core/ops/check.h"
#include "models/core/ops/int16.h"

namespace lockstep::model {

inline const int16_t* i16(const Tensor* t) {
    return static_cast<const int16_t*>(t->data);
}
inline int16_t* i16_out(const Tensor* t) {
    return static_cast<int16_t*>(t->data);
}

inline bool int16_tensor(const Tensor& t) {
    return t.type == ElementType::int16 && t.zero_point == 0;
}
inline bool valid_wide_clamp(const ClampParams& c) {
    return c.low >= INT16_MIN && c.low <= c.high && c.high <= INT16_MAX;
}

// `count` inputs, all tensors int16, parameters at least as long as T.
template <typename T>
Code check_int16(const OperatorContext& c, uint8_t count) {
    if (c.input_count != count || c.output == nullptr) return Code::invalid;
    if (c.params.size() < sizeof(T)) return Code::invalid;
    for (uint8_t i = 0; i < count; ++i)
        if (c.input[i] == nullptr || !int16_tensor(*c.input[i])) return Code::invalid;
    return int16_tensor(*c.output) ? Code::ok : Code::invalid;
}

// The taps of a kernel's row or column that lie inside an input of `size` cells.
struct Taps {
    int32_t first, last;  // [first, last)
};
inline Taps taps_inside(int32_t start, int32_t count, int32_t dilation, int32_t size) {
    Taps t = {0, count};
    while (t.first < t.last && start + t.first * dilation < 0)
        ++t.first;
    while (t.first < t.last && start + (t.last - 1) * dilation >= size)
        --t.last;
    return t;
}

// The arrays behind the header of a layer with weights. REQUIRES: header_bytes is a multiple of 8.
struct WideArrays {
    const int64_t* bias;
    const int32_t* multiplier;
    const int32_t* shift;
    const int8_t* weights;
};

inline WideArrays wide_arrays(Bytes params, size_t header_bytes, size_t channels) {
    const uint8_t* at = params.data() + header_bytes;
    const auto* words = reinterpret_cast<const int32_t*>(at + 8 * channels);
    return {reinterpret_cast<const int64_t*>(at), words, words + channels,
            reinterpret_cast<const int8_t*>(words + 2 * channels)};
}

// Output channels whose sums are on the stack at once.
constexpr int32_t kSumsAtOnce = 32;
// Channels [o, o + count) of one cell, whose first channel is at `out`.
inline void requantise_sums(const WideArrays& a, int32_t o, int32_t count, const int64_t* sum,
                            const ClampParams& clamp, int16_t* out) {
    for (int32_t r = 0; r < count; ++r)
        out[o + r] = requantise_wide(sum[r], a.multiplier[o + r], a.shift[o + r], clamp.low, clamp.high);
}

// Sizes, multipliers, and that no accumulator can reach kWideLimit. Weight k of channel o lies at
// o * channel_step + k * tap_step.
inline Code check_wide_channels(Bytes params, size_t header_bytes, size_t channels, size_t taps,
                                size_t channel_step, size_t tap_step) {
    const uint64_t needed = header_bytes + uint64_t(channels) * (16 + uint64_t(taps));
    if (params.size() < needed) return Code::invalid;
    const WideArrays a = wide_arrays(params, header_bytes, channels);
    for (size_t o = 0; o < channels; ++o) {
        if (!valid_wide_multiplier(a.multiplier[o], a.shift[o])) return Code::out_of_range;
        if (a.bias[o] <= -kWideLimit || a.bias[o] >= kWideLimit) return Code::out_of_range;
        int64_t bound = a.bias[o] < 0 ? -a.bias[o] : a.bias[o];
        for (size_t k = 0; k < taps; ++k) {
            const int8_t w = a.weights[o * channel_step + k * tap_step];
            bound += int64_t(w < 0 ? -w : w) << 15;
        }
        if (bound >= kWideLimit) return Code::out_of_range;
    }
    return Code::ok;
}

}  // namespace lockstep::model
