#include "models/core/kernels/dsp_choice.h"
#if defined(LOCKSTEP_DSP_KERNELS)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {

void clamp_bytes(int8_t* p, size_t n, const ClampParams& clamp) {
    if (clamp.low == -128 && clamp.high == 127) return;
    for (size_t i = 0; i < n; ++i)
        p[i] = int8_t(model::clamp(p[i], clamp.low, clamp.high));
}

bool conv2d(const OperatorContext& c) {
    if (!dsp::takes_conv2d(c)) return false;
    const bool pairs = WeightLayout(header<ConvParams>(c).layout) == WeightLayout::pairs;
    (dsp::takes_temporal(c) ? dsp::conv2d_temporal : pairs ? dsp::conv2d_pairs : dsp::conv2d_rows)(c);
    return true;
}
bool depthwise_conv2d(const OperatorContext& c) {
    if (!dsp::takes_depthwise_conv2d(c)) return false;
    dsp::depthwise_conv2d(c);
    return true;
}
bool fully_connected(const OperatorContext& c) {
    if (!dsp::takes_fully_connected(c)) return false;
    const bool pairs = WeightLayout(header<FullyConnectedParams>(c).layout) == WeightLayout::pairs;
    (pairs ? dsp::fully_connected_pairs : dsp::fully_connected_rows)(c);
    return true;
}
bool max_pool(const OperatorContext& c) {
    if (!dsp::takes_pool(c)) return false;
    dsp::max_pool(c);
    return true;
}
bool average_pool(const OperatorContext& c) {
    if (!dsp::takes_pool(c)) return false;
    dsp::average_pool(c);
    return true;
}

}  // namespace lockstep::model::kernels
#endif
