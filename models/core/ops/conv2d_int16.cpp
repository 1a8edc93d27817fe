// conv2d over int16: int16.h. Any channels, stride, dilation and asymmetric padding; a 1-D convolution has
// height 1.
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
    if (WeightLayout(p.layout) != WeightLayout::rows) return Code::invalid;
    if (!valid_window(p.window) || !valid_wide_clamp(p.clamp)) return Code::out_of_range;
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w) * x.dim[3];
    return check_wide_channels(c.params, sizeof p, y.dim[3], taps, taps, 1);
}

int64_t dot(const int16_t* x, const int8_t* w, int32_t n) {
    int64_t sum = 0;
    for (int32_t i = 0; i < n; ++i)
        sum += int32_t(x[i]) * w[i];
    return sum;
}

}  // namespace

void eval_conv2d16(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const WideArrays a = wide_arrays(c.params, sizeof p, y.dim[3]);
    const int32_t height = x.dim[1], width = x.dim[2], ic = x.dim[3];
    int16_t* out = i16_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const int32_t y0 = oy * w.stride_h - w.pad_top;
        for (int32_t ox = 0; ox < y.dim[2]; ++ox) {
            const int32_t x0 = ox * w.stride_w - w.pad_left;
            const int8_t* weights = a.weights;
            for (int32_t o = 0; o < y.dim[3]; ++o) {
                int64_t acc = a.bias[o];
                for (int32_t ky = 0; ky < w.kernel_h; ++ky)
                    for (int32_t kx = 0; kx < w.kernel_w; ++kx, weights += ic) {
                        const int32_t iy = y0 + ky * w.dilation_h, ix = x0 + kx * w.dilation_w;
                        if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                            acc += dot(i16(&x) + (iy * width + ix) * ic, weights, ic);
                    }
                *out++ = requantise_wide(acc, a.multiplier[o], a.shift[o], p.clamp.low, p.clamp.high);
            }
        }
    }
}

const Operator kConv2d16 = {kOpConv2d16, "conv2d_int16", prepare, eval_conv2d16};

}  // namespace lockstep::model
