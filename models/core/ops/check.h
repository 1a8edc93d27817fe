// What the prepare() functions of the network operators have in common.
#pragma once

#include "models/core/ops/params.h"

namespace lockstep::model {

// Bounds that keep every product of the index arithmetic inside 32 bits.
constexpr int32_t kMaxWindow = 1024;
constexpr int32_t kMaxStep = 32767;

template <typename T>
const T& header(const OperatorContext& c) {
    return *reinterpret_cast<const T*>(c.params.data());
}

inline const int8_t* i8(const Tensor* t) {
    return static_cast<const int8_t*>(t->data);
}
inline int8_t* i8_out(const Tensor* t) {
    return static_cast<int8_t*>(t->data);
}

inline bool valid_zero_point(const Tensor& t) {
    return t.zero_point >= -128 && t.zero_point <= 127;
}
inline bool int8_tensor(const Tensor& t) {
    return t.type == ElementType::int8 && valid_zero_point(t);
}
// int8, or int16 with zero point 0 (ops/int16.h).
inline bool quantised_tensor(const Tensor& t) {
    return int8_tensor(t) || (t.type == ElementType::int16 && t.zero_point == 0);
}
inline bool valid_clamp(const ClampParams& c) {
    return c.low >= -128 && c.low <= c.high && c.high <= 127;
}

inline bool valid_window(const WindowParams& w) {
    const auto inside = [](int32_t v, int32_t low, int32_t high) { return v >= low && v <= high; };
    return inside(w.kernel_h, 1, kMaxWindow) && inside(w.kernel_w, 1, kMaxWindow) &&
           inside(w.stride_h, 1, kMaxStep) && inside(w.stride_w, 1, kMaxStep) &&
           inside(w.dilation_h, 1, kMaxWindow) && inside(w.dilation_w, 1, kMaxWindow) &&
           inside(w.pad_top, 0, kMaxStep) && inside(w.pad_left, 0, kMaxStep);
}

// `count` inputs, all tensors int8, parameters at least as long as T. `exact` also forbids more.
template <typename T>
Code check_int8(const OperatorContext& c, uint8_t count) {
    if (c.input_count != count || c.output == nullptr) return Code::invalid;
    if (c.params.size() < sizeof(T)) return Code::invalid;
    for (uint8_t i = 0; i < count; ++i)
        if (c.input[i] == nullptr || !int8_tensor(*c.input[i])) return Code::invalid;
    return int8_tensor(*c.output) ? Code::ok : Code::invalid;
}

inline bool same_quantisation(const Tensor& a, const Tensor& b) {
    return a.zero_point == b.zero_point && a.scale == b.scale;
}

inline bool same_shape(const Tensor& a, const Tensor& b) {
    for (int d = 0; d < 4; ++d)
        if (a.dim[d] != b.dim[d]) return false;
    return true;
}

inline size_t last_dim(const Tensor& t) {
    return t.rank == 0 ? 1 : t.dim[t.rank - 1];
}

// The second input of two has the first one's shape, or is one row of its last dimension.
inline bool broadcastable(const OperatorContext& c) {
    const Tensor& a = *c.input[0];
    const Tensor& b = *c.input[1];
    if (!same_shape(a, *c.output) || a.elements() == 0) return false;
    return same_shape(a, b) || (b.elements() == last_dim(a) && b.elements() != 0);
}

// The arrays behind the header of a convolution or fully connected layer.
struct ChannelArrays {
    const int32_t* bias;
    const int32_t* multiplier;
    const int32_t* shift;
    const int8_t* weights;
};

inline ChannelArrays channel_arrays(Bytes params, size_t header_bytes, size_t channels) {
    const int32_t* at = reinterpret_cast<const int32_t*>(params.data() + header_bytes);
    return {at, at + channels, at + 2 * channels, reinterpret_cast<const int8_t*>(at + 3 * channels)};
}

// Sizes, multipliers, and that no accumulator can leave 32 bits. weight(weights, o, k) is number k of
// channel o.
template <typename Weight>
Code check_channels(Bytes params, size_t header_bytes, size_t channels, size_t taps, Weight weight) {
    const uint64_t needed = header_bytes + uint64_t(channels) * (12 + uint64_t(taps));
    if (params.size() < needed) return Code::invalid;
    const ChannelArrays a = channel_arrays(params, header_bytes, channels);
    for (size_t o = 0; o < channels; ++o) {
        if (!valid_multiplier(a.multiplier[o], a.shift[o])) return Code::out_of_range;
        int64_t bound = a.bias[o] < 0 ? -int64_t(a.bias[o]) : a.bias[o];
        for (size_t k = 0; k < taps; ++k) {
            const int32_t w = weight(a.weights, o, k);
            bound += (w < 0 ? -w : w) * 128;
        }
        if (bound > INT32_MAX) return Code::out_of_range;
    }
    return Code::ok;
}

inline int32_t paired(const int8_t* weights, size_t o, size_t i, size_t inputs) {
    const int8_t w = weights[pairs_at(o, i, inputs)];
    return o % 2 == 0 ? int32_t(uint8_t(w)) - 128 : w;
}

// check_channels() of weights [outputs][inputs] or in pairs.
Code check_rows(Bytes params, size_t header_bytes, int32_t layout, size_t outputs, size_t inputs);

}  // namespace lockstep::model
