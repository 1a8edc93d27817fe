// depthwise_conv2d over int16: int16.h. Output channel o reads input channel o / multiplier.
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int16<ConvParams>(c, 1);
    if (code != Code::ok) return code;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    if (x.rank != 4 || y.rank != 4 || x.dim[0] != 1 || y.dim[0] != 1) return Code::invalid;
    if (x.dim[3] == 0 || y.dim[3] % x.dim[3] != 0) return Code::invalid;
    if (WeightLayout(p.layout) != WeightLayout::rows) return Code::invalid;
    if (!valid_window(p.window) || !valid_wide_clamp(p.clamp)) return Code::out_of_range;
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w);
    return check_wide_channels(c.params, sizeof p, y.dim[3], taps, 1, y.dim[3]);
}

}  // namespace

void eval_depthwise_conv2d16(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const WideArrays a = wide_arrays(c.params, sizeof p, y.dim[3]);
    const int32_t height = x.dim[1], width = x.dim[2], ic = x.dim[3], oc = y.dim[3];
    const int32_t multiplier = oc / ic;
    const int16_t* in = i16(&x);
    int16_t* out = i16_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const int32_t y0 = oy * w.stride_h - w.pad_top;
        for (int32_t ox = 0; ox < y.dim[2]; ++ox) {
            const int32_t x0 = ox * w.stride_w - w.pad_left;
            for (int32_t o = 0; o < oc; ++o) {
                int64_t acc = a.bias[o];
                const int8_t* weight = a.weights + o;
                for (int32_t ky = 0; ky < w.kernel_h; ++ky)
                    for (int32_t kx = 0; kx < w.kernel_w; ++kx, weight += oc) {
                        const int32_t iy = y0 + ky * w.dilation_h, ix = x0 + kx * w.dilation_w;
                        if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                            acc += int32_t(in[(iy * width + ix) * ic + o / multiplier]) * *weight;
                    }
                *out++ = requantise_wide(acc, a.multiplier[o], a.shift[o], p.clamp.low, p.clamp.high);
            }
        }
    }
}

const Operator kDepthwiseConv2d16 = {kOpDepthwiseConv2d16, "depthwise_conv2d_int16", prepare,
                                     eval_depthwise_conv2d16};

}  // namespace lockstep::model
