// conv2d: two cells by two output channels at a time. Each cell's window is widened once to 16 bits, in
// the order in which SXTB16 splits four weights, and serves all channels; the weights stay as they are.
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {
namespace {

// The window of the output cell (oy, ox) as one run of bytes: in place where it is one, else in `copy`.
const int8_t* window(const Tensor& x, const WindowParams& w, int32_t oy, int32_t ox, int8_t* copy) {
    const int32_t height = x.dim[1], width = x.dim[2], ic = x.dim[3];
    const int32_t y0 = oy * w.stride_h - w.pad_top, x0 = ox * w.stride_w - w.pad_left;
    const bool whole = w.dilation_w == 1 && x0 >= 0 && x0 + w.kernel_w <= width;
    if (whole && w.kernel_h == 1 && y0 >= 0 && y0 < height) return i8(&x) + (y0 * width + x0) * ic;
    int8_t* to = copy;
    for (int32_t ky = 0; ky < w.kernel_h; ++ky) {
        const int32_t iy = y0 + ky * w.dilation_h;
        const bool row = iy >= 0 && iy < height;
        const int8_t* from = i8(&x) + iy * width * ic;
        if (row && whole) {
            memcpy(to, from + x0 * ic, size_t(w.kernel_w * ic));
            to += w.kernel_w * ic;
            continue;
        }
        for (int32_t kx = 0; kx < w.kernel_w; ++kx, to += ic) {
            const int32_t ix = x0 + kx * w.dilation_w;
            if (row && ix >= 0 && ix < width)
                memcpy(to, from + ix * ic, size_t(ic));
            else
                memset(to, x.zero_point, size_t(ic));
        }
    }
    return copy;
}

// Into every second pair of words of `to`.
void widen(const int8_t* from, size_t taps, uint32_t* to) {
    size_t i = 0;
    for (; i + 4 <= taps; i += 4, to += 4) {
        const uint32_t v = load4(from + i);
        to[0] = even(v);
        to[1] = odd(v);
    }
    if (i == taps) return;
    uint32_t v = 0;
    memcpy(&v, from + i, taps - i);
    to[0] = even(v);
    to[1] = odd(v);
}

// sum[0..1]: cells 0 and 1 with the weights w0; sum[2..3]: with w1.
inline void dot_2x2(const uint32_t* x, const int8_t* w0, const int8_t* w1, const uint32_t* end,
                    int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    asm volatile(
        "1:\n"
        "ldmia %[x]!, {r8-r11}\n"
        "ldr r12, [%[w0]], #4\n"
        "sxtb16 lr, r12, ror #8\n"
        "sxtb16 r12, r12\n"
        "smlad %[a], r8, r12, %[a]\n"
        "smlad %[b], r10, r12, %[b]\n"
        "smlad %[a], r9, lr, %[a]\n"
        "smlad %[b], r11, lr, %[b]\n"
        "ldr r12, [%[w1]], #4\n"
        "sxtb16 lr, r12, ror #8\n"
        "sxtb16 r12, r12\n"
        "smlad %[c], r8, r12, %[c]\n"
        "smlad %[d], r10, r12, %[d]\n"
        "smlad %[c], r9, lr, %[c]\n"
        "smlad %[d], r11, lr, %[d]\n"
        "cmp %[x], %[end]\n"
        "bne 1b\n"
        : [x] "+r"(x), [w0] "+r"(w0), [w1] "+r"(w1), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
        : [end] "r"(end)
        : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

}  // namespace

bool conv2d(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const size_t channels = y.dim[3], cells = size_t(y.dim[1]) * y.dim[2];
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w) * x.dim[3];
    const size_t groups = (taps + 3) / 4;
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), channels);
    if (c.scratch.size() < conv_scratch_bytes(uint32_t(taps)) || !quick_channels(a, channels, taps))
        return false;
    auto* wide = reinterpret_cast<uint32_t*>(c.scratch.data());
    auto* copy = reinterpret_cast<int8_t*>(wide + 4 * groups);
    const uint32_t* end = wide + 4 * groups;
    // Weights are read in fours: behind the last channel's there must be something to read.
    const int8_t* last_row = a.weights + (channels - 1) * taps;
    if (taps % 4 != 0) last_row = static_cast<const int8_t*>(memcpy(copy + 4 * groups, last_row, taps));
    int8_t* out = i8_out(&y);
    int32_t oy = 0, ox = 0;
    for (size_t cell = 0; cell < cells; cell += 2, out += 2 * channels) {
        const bool two = cell + 1 < cells;
        for (size_t k = 0; k < (two ? 2u : 1u); ++k) {
            widen(window(x, p.window, oy, ox, copy), taps, wide + 2 * k);
            if (++ox == y.dim[2]) {
                ox = 0;
                ++oy;
            }
        }
        const int8_t* w = a.weights;
        int8_t* second = two ? out + channels : out;  // written first, so that a lone cell stays right
        for (size_t o = 0; o < channels; o += 2, w += 2 * taps) {
            const size_t last = o + 1 < channels ? o + 1 : o;
            int32_t sum[4];
            const int8_t* w1 = last + 1 == channels ? last_row : w + taps;
            dot_2x2(wide, last == o ? w1 : w, w1, end, sum);
            for (size_t k = 0; k < 2; ++k) {
                const size_t at = k == 0 ? o : last;
                const int32_t bias = a.bias[at], m = a.multiplier[at], shift = a.shift[at];
                second[at] = quick(bias + sum[2 * k + 1], m, shift, y.zero_point);
                out[at] = quick(bias + sum[2 * k], m, shift, y.zero_point);
            }
        }
    }
    clamp_bytes(i8_out(&y), y.elements(), p.clamp);
    return true;
}

}  // namespace lockstep::model::kernels
#endif
