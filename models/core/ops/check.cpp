#include "models/core/ops/check.h"

namespace lockstep::model {

Code check_rows(Bytes params, size_t header_bytes, int32_t layout, size_t outputs, size_t inputs) {
    if (WeightLayout(layout) == WeightLayout::rows)
        return check_channels(
            params, header_bytes, outputs, inputs,
            [inputs](const int8_t* w, size_t o, size_t i) { return int32_t(w[o * inputs + i]); });
    if (WeightLayout(layout) != WeightLayout::pairs || inputs % 4 != 0 || outputs % 4 != 0)
        return Code::invalid;
    const Code code =
        check_channels(params, header_bytes, outputs, inputs,
                       [inputs](const int8_t* w, size_t o, size_t i) { return paired(w, o, i, inputs); });
    if (code != Code::ok) return code;
    const ChannelArrays a = channel_arrays(params, header_bytes, outputs);
    for (size_t o = 1; o < outputs; o += 2) {
        int64_t sum = 0;
        for (size_t i = 0; i < inputs; ++i) {
            const int32_t w = paired(a.weights, o, i, inputs);
            sum += w < 0 ? -w : w;
        }
        if (sum >= kPairsLimit) return Code::out_of_range;
    }
    return Code::ok;
}

}  // namespace lockstep::model
