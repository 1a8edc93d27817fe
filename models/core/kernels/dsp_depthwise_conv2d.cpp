// depthwise_conv2d: four channels at a time; a list of the rows behind a cell's taps is made once and
// serves all channels. A tap outside the input points at a row of zero points.
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {
namespace {

inline int32_t bottom(uint32_t x, uint32_t w, int32_t sum) {
    return sum + int16_t(x) * int16_t(w);
}
inline int32_t top(uint32_t x, uint32_t w, int32_t sum) {
    return sum + (int32_t(x) >> 16) * (int32_t(w) >> 16);
}

// Sums of output channels o..o+3.
template <bool kOneToOne>
inline void dot_4(const int8_t* const* tap, const int8_t* const* end, const int8_t* w, size_t oc, size_t o,
                  size_t multiplier, int32_t sum[4]) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const size_t c0 = o / multiplier, c1 = (o + 1) / multiplier;
    const size_t c2 = (o + 2) / multiplier, c3 = (o + 3) / multiplier;
    for (; tap != end; ++tap, w += oc) {
        const uint32_t u = load4(w);
        if (kOneToOne) {
            const uint32_t v = load4(*tap + o);
            const uint32_t ve = even(v), vo = odd(v), ue = even(u), uo = odd(u);
            s0 = bottom(ve, ue, s0);
            s2 = top(ve, ue, s2);
            s1 = bottom(vo, uo, s1);
            s3 = top(vo, uo, s3);
        } else {
            const int8_t* row = *tap;
            const uint32_t ue = even(u), uo = odd(u);
            s0 += row[c0] * int16_t(ue);
            s1 += row[c1] * int16_t(uo);
            s2 += row[c2] * (int32_t(ue) >> 16);
            s3 += row[c3] * (int32_t(uo) >> 16);
        }
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

}  // namespace

bool depthwise_conv2d(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const int32_t height = x.dim[1], width = x.dim[2];
    const size_t ic = x.dim[3], oc = y.dim[3], multiplier = oc / ic;
    const size_t taps = size_t(w.kernel_h) * size_t(w.kernel_w);
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), oc);
    if (oc % 4 != 0 || c.scratch.size() < 4 * taps + ic || !quick_channels(a, oc, taps)) return false;
    auto* tap = reinterpret_cast<const int8_t**>(c.scratch.data());
    auto* outside = reinterpret_cast<int8_t*>(tap + taps);
    memset(outside, x.zero_point, ic);
    int8_t* out = i8_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        for (int32_t ox = 0; ox < y.dim[2]; ++ox, out += oc) {
            const int8_t** t = tap;
            for (int32_t ky = 0; ky < w.kernel_h; ++ky) {
                const int32_t iy = oy * w.stride_h - w.pad_top + ky * w.dilation_h;
                for (int32_t kx = 0; kx < w.kernel_w; ++kx) {
                    const int32_t ix = ox * w.stride_w - w.pad_left + kx * w.dilation_w;
                    const bool inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
                    *t++ = inside ? i8(&x) + size_t(iy * width + ix) * ic : outside;
                }
            }
            for (size_t o = 0; o < oc; o += 4) {
                int32_t sum[4];
                (multiplier == 1 ? dot_4<true> : dot_4<false>)(tap, tap + taps, a.weights + o, oc, o,
                                                               multiplier, sum);
                for (size_t k = 0; k < 4; ++k)
                    out[o + k] =
                        quick(a.bias[o + k] + sum[k], a.multiplier[o + k], a.shift[o + k], y.zero_point);
            }
        }
    }
    clamp_bytes(i8_out(&y), y.elements(), p.clamp);
    return true;
}

}  // namespace lockstep::model::kernels
#endif
