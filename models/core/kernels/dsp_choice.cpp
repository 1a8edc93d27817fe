#include "models/core/kernels/dsp_choice.h"

#include "models/core/ops/check.h"

namespace lockstep::model::kernels::dsp {
namespace {

// Halfword sums of at most so many bytes cannot overflow.
constexpr int32_t kMostPooled = 255;

// Whether every channel has a multiplier in [2^30, 2^31), a shift to the right and an accumulator below
// 2^30: then Quick (dsp.h) is exact.
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

bool in_pairs(int32_t layout) {
    return WeightLayout(layout) == WeightLayout::pairs;
}

}  // namespace

bool takes_temporal(const OperatorContext& c) {
    const ConvParams& p = header<ConvParams>(c);
    return is_temporal(p.window, c.input[0]->dim[3]) && !in_pairs(p.layout);
}

bool takes_conv2d(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const WindowParams& w = header<ConvParams>(c).window;
    const size_t taps = size_t(w.kernel_h) * size_t(w.kernel_w) * x.dim[3];
    if (takes_temporal(c) && y.dim[2] < 4) return false;
    return c.scratch.size() >= conv_scratch_bytes(w, x.dim[3], y.dim[2]) &&
           quick_channels(channel_arrays(c.params, sizeof(ConvParams), y.dim[3]), y.dim[3], taps);
}

bool takes_depthwise_conv2d(const OperatorContext& c) {
    const ConvParams& p = header<ConvParams>(c);
    const size_t ic = c.input[0]->dim[3], oc = c.output->dim[3];
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w);
    return in_pairs(p.layout) && oc / ic <= 2 &&
           c.scratch.size() >= depthwise_scratch_bytes(uint32_t(taps), uint32_t(ic)) &&
           quick_channels(channel_arrays(c.params, sizeof(ConvParams), oc), oc, taps);
}

bool takes_fully_connected(const OperatorContext& c) {
    const size_t outputs = c.output->elements();
    return quick_channels(channel_arrays(c.params, sizeof(FullyConnectedParams), outputs), outputs,
                          c.input[0]->elements());
}

bool takes_pool(const OperatorContext& c) {
    const WindowParams& w = header<PoolParams>(c).window;
    return c.input[0]->dim[3] % 4 == 0 && w.dilation_h == 1 && w.dilation_w == 1 &&
           w.kernel_h * w.kernel_w <= kMostPooled;
}

const char* kernel_of(uint16_t operator_code, const OperatorContext& c) {
    switch (operator_code) {
        case kOpConv2d:
            if (!takes_conv2d(c)) return nullptr;
            if (takes_temporal(c)) return "conv2d_temporal";
            return in_pairs(header<ConvParams>(c).layout) ? "conv2d_pairs" : "conv2d_rows";
        case kOpDepthwiseConv2d:
            return takes_depthwise_conv2d(c) ? "depthwise_conv2d" : nullptr;
        case kOpFullyConnected:
            if (!takes_fully_connected(c)) return nullptr;
            return in_pairs(header<FullyConnectedParams>(c).layout) ? "fully_connected_pairs"
                                                                    : "fully_connected_rows";
        case kOpMaxPool:
            return takes_pool(c) ? "max_pool" : nullptr;
        case kOpAveragePool:
            return takes_pool(c) ? "average_pool" : nullptr;
        default:
            return nullptr;
    }
}

}  // namespace lockstep::model::kernels::dsp
