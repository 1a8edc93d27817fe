// depthwise_conv2d: ConvParams of params.h. Output channel o reads input channel o / multiplier, where
// multiplier = output channels / input channels; (k,1) and (1,k) kernels are ordinary cases.
#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int8<ConvParams>(c, 1);
    if (code != Code::ok) return code;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    if (x.rank != 4 || y.rank != 4 || x.dim[0] != 1 || y.dim[0] != 1) return Code::invalid;
    if (x.dim[3] == 0 || y.dim[3] % x.dim[3] != 0) return Code::invalid;
    if (!valid_window(p.window) || !valid_clamp(p.clamp)) return Code::out_of_range;
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w);
    const size_t oc = y.dim[3];
    if (WeightLayout(p.layout) == WeightLayout::pairs) {
        if (oc % 4 != 0) return Code::invalid;
        const size_t all = (taps + 1) / 2 * 2;
        const Code code2 = check_channels(
            c.params, sizeof(ConvParams), oc, all,
            [all](const int8_t* w, size_t o, size_t k) { return int32_t(w[tap_pairs_at(o, k, all)]); });
        if (code2 != Code::ok || all == taps) return code2;
        const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), oc);
        for (size_t o = 0; o < oc; ++o)
            if (a.weights[tap_pairs_at(o, taps, taps)] != 0) return Code::invalid;
        return Code::ok;
    }
    if (WeightLayout(p.layout) != WeightLayout::rows) return Code::invalid;
    return check_channels(c.params, sizeof(ConvParams), oc, taps,
                          [oc](const int8_t* w, size_t o, size_t k) { return int32_t(w[k * oc + o]); });
}

}  // namespace

LOCKSTEP_FALLBACK void reference_depthwise_conv2d(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), y.dim[3]);
    const int32_t height = x.dim[1], width = x.dim[2], ic = x.dim[3], oc = y.dim[3];
    const int32_t multiplier = oc / ic;
    const bool pairs = WeightLayout(p.layout) == WeightLayout::pairs;
    const size_t taps = size_t(w.kernel_h) * size_t(w.kernel_w);
    const int8_t* in = i8(&x);
    int8_t* out = i8_out(&y);

    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const int32_t y0 = oy * w.stride_h - w.pad_top;
        for (int32_t ox = 0; ox < y.dim[2]; ++ox) {
            const int32_t x0 = ox * w.stride_w - w.pad_left;
            for (int32_t o = 0; o < oc; ++o) {
                const int32_t channel = o / multiplier;
                size_t tap = 0;
                int32_t acc = a.bias[o];
                for (int32_t ky = 0; ky < w.kernel_h; ++ky) {
                    const int32_t iy = y0 + ky * w.dilation_h;
                    const bool row_inside = iy >= 0 && iy < height;
                    for (int32_t kx = 0; kx < w.kernel_w; ++kx, ++tap) {
                        const int32_t ix = x0 + kx * w.dilation_w;
                        const bool inside = row_inside && ix >= 0 && ix < width;
                        const int8_t weight = a.weights[pairs ? tap_pairs_at(size_t(o), tap, taps)
                                                              : tap * size_t(oc) + size_t(o)];
                        acc += weight * (inside ? in[(iy * width + ix) * ic + channel] : x.zero_point);
                    }
                }
                *out++ =
                    requantise(acc, a.multiplier[o], a.shift[o], y.zero_point, p.clamp.low, p.clamp.high);
            }
        }
    }
}

void eval_depthwise_conv2d(const OperatorContext& c) {
    if (!kernels::depthwise_conv2d(c)) reference_depthwise_conv2d(c);
}

const Operator kDepthwiseConv2d = {kOpDepthwiseConv2d, "depthwise_conv2d", prepare, eval_depthwise_conv2d};

}  // namespace lockstep::model
