// depthwise_conv2d over int16: int16.h. Output channel o reads input channel o / multiplier.
#include "models/core/kernels/products16.h"
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

// The window of one output cell.
struct Window {
    const Tensor& x;
    const ConvParams& p;
    const WideArrays& a;
    int32_t oc, y0, x0;

    int16_t result(int64_t sum, int32_t o) const {
        return requantise_wide(sum, a.multiplier[o], a.shift[o], p.clamp.low, p.clamp.high);
    }

    int16_t one(int32_t o) const {
        const WindowParams& w = p.window;
        const int32_t ic = x.dim[3], multiplier = oc / ic;
        int64_t sum = a.bias[o];
        const int8_t* weight = a.weights + o;
        for (int32_t ky = 0; ky < w.kernel_h; ++ky)
            for (int32_t kx = 0; kx < w.kernel_w; ++kx, weight += oc) {
                const int32_t iy = y0 + ky * w.dilation_h, ix = x0 + kx * w.dilation_w;
                if (iy >= 0 && iy < x.dim[1] && ix >= 0 && ix < x.dim[2])
                    sum += int32_t(i16(&x)[(iy * x.dim[2] + ix) * ic + o / multiplier]) * *weight;
            }
        return result(sum, o);
    }

    // Four channels of their own inputs. REQUIRES: at most kNarrowProducts taps.
    template <typename Products>
    void four(int32_t o, int16_t* out) const {
        const WindowParams& w = p.window;
        const Taps wide = taps_inside(x0, w.kernel_w, w.dilation_w, x.dim[2]);
        Taps tall = taps_inside(y0, w.kernel_h, w.dilation_h, x.dim[1]);
        if (wide.first == wide.last) tall.last = tall.first;
        int32_t sum[4] = {};
        for (int32_t ky = tall.first; ky < tall.last; ++ky) {
            const int32_t cell = (y0 + ky * w.dilation_h) * x.dim[2] + x0 + wide.first * w.dilation_w;
            Products::lanes(a.weights + (ky * w.kernel_w + wide.first) * oc + o, size_t(oc),
                            i16(&x) + cell * oc + o, size_t(w.dilation_w) * size_t(oc),
                            size_t(wide.last - wide.first), sum);
        }
        for (int32_t k = 0; k < 4; ++k)
            out[k] = result(a.bias[o + k] + sum[k], o + k);
    }
};

template <typename Products>
void run(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const int32_t oc = y.dim[3];
    const WideArrays a = wide_arrays(c.params, sizeof p, size_t(oc));
    const bool narrow = oc == x.dim[3] && w.kernel_h * w.kernel_w <= int32_t(kernels::kNarrowProducts);
    int16_t* out = i16_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy)
        for (int32_t ox = 0; ox < y.dim[2]; ++ox, out += oc) {
            const Window at = {x, p, a, oc, oy * w.stride_h - w.pad_top, ox * w.stride_w - w.pad_left};
            int32_t o = 0;
            for (; narrow && o + 4 <= oc; o += 4)
                at.template four<Products>(o, out + o);
            for (; o < oc; ++o)
                out[o] = at.one(o);
        }
}

}  // namespace

void eval_depthwise_conv2d16(const OperatorContext& c) {
    run<kernels::FastProducts16>(c);
}
void reference_depthwise_conv2d16(const OperatorContext& c) {
    run<kernels::PlainProducts16>(c);
}

const Operator kDepthwiseConv2d16 = {kOpDepthwiseConv2d16, "depthwise_conv2d_int16", prepare,
                                     eval_depthwise_conv2d16};

}  // namespace lockstep::model
