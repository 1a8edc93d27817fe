// conv2d over int16: int16.h. Any channels, stride, dilation and asymmetric padding; a 1-D convolution has
// height 1.
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
    if (WeightLayout(p.layout) != WeightLayout::rows) return Code::invalid;
    if (!valid_window(p.window) || !valid_wide_clamp(p.clamp)) return Code::out_of_range;
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w) * x.dim[3];
    return check_wide_channels(c.params, sizeof p, y.dim[3], taps, taps, 1);
}

// The window of one output cell, whose taps inside are these.
struct Window {
    int32_t y0, x0;
    Taps tall, wide;
};

// Adds the products of `count` output channels from `o` on.
template <typename Products>
void add(const Tensor& x, const WindowParams& w, const int8_t* weights, const Window& at, int32_t count,
         int64_t* sum) {
    if (at.wide.first == at.wide.last) return;
    const int32_t ic = x.dim[3];
    const size_t stride = size_t(w.kernel_h) * size_t(w.kernel_w) * size_t(ic);
    for (int32_t ky = at.tall.first; ky < at.tall.last; ++ky) {
        const int8_t* taps = weights + (ky * w.kernel_w + at.wide.first) * ic;
        const int32_t cell = (at.y0 + ky * w.dilation_h) * x.dim[2] + at.x0 + at.wide.first * w.dilation_w;
        const int16_t* cells = i16(&x) + cell * ic;
        if (w.dilation_w == 1) {  // they lie beside each other
            Products::rows(taps, stride, cells, size_t(at.wide.last - at.wide.first) * size_t(ic),
                           size_t(count), sum);
            continue;
        }
        for (int32_t kx = at.wide.first; kx < at.wide.last; ++kx, taps += ic, cells += w.dilation_w * ic)
            Products::rows(taps, stride, cells, size_t(ic), size_t(count), sum);
    }
}

template <typename Products>
void run(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const int32_t oc = y.dim[3];
    const WideArrays a = wide_arrays(c.params, sizeof p, size_t(oc));
    const size_t taps = size_t(w.kernel_h) * size_t(w.kernel_w) * x.dim[3];
    int16_t* out = i16_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        Window at = {};
        at.y0 = oy * w.stride_h - w.pad_top;
        at.tall = taps_inside(at.y0, w.kernel_h, w.dilation_h, x.dim[1]);
        for (int32_t ox = 0; ox < y.dim[2]; ++ox, out += oc) {
            at.x0 = ox * w.stride_w - w.pad_left;
            at.wide = taps_inside(at.x0, w.kernel_w, w.dilation_w, x.dim[2]);
            for (int32_t o = 0; o < oc; o += kSumsAtOnce) {
                int64_t sum[kSumsAtOnce];
                const int32_t count = oc - o < kSumsAtOnce ? oc - o : kSumsAtOnce;
                memcpy(sum, a.bias + o, size_t(count) * sizeof *sum);
                add<Products>(x, w, a.weights + size_t(o) * taps, at, count, sum);
                requantise_sums(a, o, count, sum, p.clamp, out);
            }
        }
    }
}

}  // namespace

void eval_conv2d16(const OperatorContext& c) {
    run<kernels::FastProducts16>(c);
}
void reference_conv2d16(const OperatorContext& c) {
    run<kernels::PlainProducts16>(c);
}

const Operator kConv2d16 = {kOpConv2d16, "conv2d_int16", prepare, eval_conv2d16};

}  // namespace lockstep::model
