#include "models/core/ops/check.h"

namespace lockstep::model {

Code check_channels(Bytes params, size_t header_bytes, size_t channels, size_t taps, size_t channel_stride,
                    size_t tap_stride) {
    const uint64_t needed = header_bytes + uint64_t(channels) * (12 + uint64_t(taps));
    if (params.size() < needed) return Code::invalid;
    const ChannelArrays a = channel_arrays(params, header_bytes, channels);
    for (size_t o = 0; o < channels; ++o) {
        if (!valid_multiplier(a.multiplier[o], a.shift[o])) return Code::out_of_range;
        int64_t bound = a.bias[o] < 0 ? -int64_t(a.bias[o]) : a.bias[o];
        for (size_t k = 0; k < taps; ++k) {
            const int32_t w = a.weights[o * channel_stride + k * tap_stride];
            bound += (w < 0 ? -w : w) * 128;
        }
        if (bound > INT32_MAX) return Code::out_of_range;
    }
    return Code::ok;
}

}  // namespace lockstep::model
