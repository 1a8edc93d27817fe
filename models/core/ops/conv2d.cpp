// conv2d: ConvParams of params.h. Input [1][h][w][ic], output [1][oh][ow][oc]; any channels, stride,
// dilation and asymmetric padding; a 1-D convolution has height 1.
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
    if (!valid_window(p.window) || !valid_clamp(p.clamp)) return Code::out_of_range;
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w) * x.dim[3];
    return check_rows(c.params, sizeof p, p.layout, y.dim[3], taps);
}

int32_t dot(const int8_t* x, const int8_t* w, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; ++i)
        sum += x[i] * w[i];
    return sum;
}

int32_t total(const int8_t* w, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; ++i)
        sum += w[i];
    return sum;
}

// Sums over the channels of one cell, weights in pairs: weights k... of output channel o.
LOCKSTEP_FALLBACK int32_t dot_pairs(const int8_t* x, int32_t pad, const int8_t* weights, int32_t o, int32_t k,
                                    int32_t n, int32_t taps) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; ++i)
        sum += (x == nullptr ? pad : x[i]) * paired(weights, size_t(o), size_t(k) + size_t(i), size_t(taps));
    return sum;
}

// The whole window of one output, weights in pairs.
LOCKSTEP_FALLBACK int32_t window_pairs(const Tensor& x, const WindowParams& w, const int8_t* weights,
                                       int32_t y0, int32_t x0, int32_t o, int32_t taps) {
    const int32_t ic = x.dim[3];
    int32_t sum = 0, k = 0;
    for (int32_t ky = 0; ky < w.kernel_h; ++ky)
        for (int32_t kx = 0; kx < w.kernel_w; ++kx, k += ic) {
            const int32_t iy = y0 + ky * w.dilation_h, ix = x0 + kx * w.dilation_w;
            const bool inside = iy >= 0 && iy < x.dim[1] && ix >= 0 && ix < x.dim[2];
            sum += dot_pairs(inside ? i8(&x) + (iy * x.dim[2] + ix) * ic : nullptr, x.zero_point, weights, o,
                             k, ic, taps);
        }
    return sum;
}

}  // namespace

LOCKSTEP_FALLBACK void reference_conv2d(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), y.dim[3]);
    const int32_t height = x.dim[1], width = x.dim[2], ic = x.dim[3];
    const int32_t taps = w.kernel_h * w.kernel_w * ic;
    // Without gaps between its cells, one row of the window is one run of kernel_w * ic bytes.
    const bool pairs = WeightLayout(p.layout) == WeightLayout::pairs;
    const bool dense = w.dilation_w == 1;
    const int8_t* in = i8(&x);
    int8_t* out = i8_out(&y);

    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const int32_t y0 = oy * w.stride_h - w.pad_top;
        for (int32_t ox = 0; ox < y.dim[2]; ++ox) {
            const int32_t x0 = ox * w.stride_w - w.pad_left;
            const bool whole_row = dense && x0 >= 0 && x0 + w.kernel_w <= width;
            for (int32_t o = 0; o < y.dim[3]; ++o) {
                int32_t acc = a.bias[o];
                const int8_t* weights = a.weights + o * taps;
                if (pairs) acc += window_pairs(x, w, a.weights, y0, x0, o, taps);
                for (int32_t ky = 0; !pairs && ky < w.kernel_h; ++ky, weights += w.kernel_w * ic) {
                    const int32_t iy = y0 + ky * w.dilation_h;
                    if (iy < 0 || iy >= height) {
                        acc += x.zero_point * total(weights, w.kernel_w * ic);
                        continue;
                    }
                    const int8_t* row = in + iy * width * ic;
                    if (whole_row) {
                        acc += dot(row + x0 * ic, weights, w.kernel_w * ic);
                        continue;
                    }
                    for (int32_t kx = 0; kx < w.kernel_w; ++kx) {
                        const int32_t ix = x0 + kx * w.dilation_w;
                        acc += ix < 0 || ix >= width ? x.zero_point * total(weights + kx * ic, ic)
                                                     : dot(row + ix * ic, weights + kx * ic, ic);
                    }
                }
                *out++ =
                    requantise(acc, a.multiplier[o], a.shift[o], y.zero_point, p.clamp.low, p.clamp.high);
            }
        }
    }
}

void eval_conv2d(const OperatorContext& c) {
    if (!kernels::conv2d(c)) reference_conv2d(c);
}

const Operator kConv2d = {kOpConv2d, "conv2d", prepare, eval_conv2d};

}  // namespace lockstep::model
