// depthwise_conv2d, weights in pairs of taps: four channels at a time; a list of the rows behind a cell's
// taps is made once and serves all channels. A tap outside the input points at a row of zero points.
#include "models/core/kernels/dsp_choice.h"
#if defined(LOCKSTEP_DSP_KERNELS)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {
namespace {

inline uint32_t smlad(uint32_t x, uint32_t w, uint32_t sum) {
    asm("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(w));
    return sum;
}
inline uint32_t load2(const int8_t* p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

// Adds to the sums of four output channels. Two taps at a time: halfwords (tap, next tap) of one channel
// meet their two weights in one SMLAD. Returns where the next four channels' weights begin.
inline const int8_t* dot_one_to_one(const int8_t* const* tap, const int8_t* const* end, size_t channel,
                                    const int8_t* w, int32_t sum[4]) {
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    asm volatile(
        "1:\n"
        "ldmia %[tap]!, {r8, r9}\n"
        "ldr r8, [r8, %[c]]\n"
        "ldr r9, [r9, %[c]]\n"
        "ldrd r10, r11, [%[w]], #8\n"
        "pkhbt r12, r8, r9, lsl #16\n"  // channels 0 and 1 of both taps
        "pkhtb r8, r9, r8, asr #16\n"   // 2 and 3
        "sxtb16 r9, r12\n"
        "sxtb16 lr, r10\n"
        "smlad %[s0], r9, lr, %[s0]\n"
        "sxtb16 r12, r12, ror #8\n"
        "sxtb16 r10, r10, ror #8\n"
        "smlad %[s1], r12, r10, %[s1]\n"
        "sxtb16 r9, r8\n"
        "sxtb16 lr, r11\n"
        "smlad %[s2], r9, lr, %[s2]\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r11, r11, ror #8\n"
        "smlad %[s3], r8, r11, %[s3]\n"
        "cmp %[tap], %[end]\n"
        "bne 1b\n"
        : [tap] "+r"(tap), [w] "+r"(w), [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3)
        : [end] "r"(end), [c] "r"(channel)
        : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
    return w;
}

// The same where two output channels share an input channel.
inline const int8_t* dot_one_to_two(const int8_t* const* tap, const int8_t* const* end, size_t channel,
                                    const int8_t* w, int32_t sum[4]) {
    uint32_t s0 = uint32_t(sum[0]), s1 = uint32_t(sum[1]), s2 = uint32_t(sum[2]), s3 = uint32_t(sum[3]);
    for (; tap != end; tap += 2, w += 8) {
        const uint32_t x = load2(tap[0] + channel) | load2(tap[1] + channel) << 16;
        const uint32_t low = load4(w), high = load4(w + 4), first = even(x), second = odd(x);
        s0 = smlad(first, even(low), s0);
        s1 = smlad(first, odd(low), s1);
        s2 = smlad(second, even(high), s2);
        s3 = smlad(second, odd(high), s3);
    }
    sum[0] = int32_t(s0);
    sum[1] = int32_t(s1);
    sum[2] = int32_t(s2);
    sum[3] = int32_t(s3);
    return w;
}

void all_channels(const int8_t* const* tap, size_t taps, const ChannelArrays& a, size_t oc, bool one_to_two,
                  int32_t zero_point, int8_t* out) {
    const int8_t* w = a.weights;
    const int32_t* bias = a.bias;
    const size_t step = one_to_two ? 2 : 4;
    size_t channel = 0;
    for (int8_t* end = out + oc; out != end; out += 4, bias += 4, channel += step) {
        int32_t sum[4] = {bias[0], bias[1], bias[2], bias[3]};
        w = one_to_two ? dot_one_to_two(tap, tap + taps, channel, w, sum)
                       : dot_one_to_one(tap, tap + taps, channel, w, sum);
        out[0] = Quick(bias[oc], bias[2 * oc])(sum[0], zero_point);
        out[1] = Quick(bias[oc + 1], bias[2 * oc + 1])(sum[1], zero_point);
        out[2] = Quick(bias[oc + 2], bias[2 * oc + 2])(sum[2], zero_point);
        out[3] = Quick(bias[oc + 3], bias[2 * oc + 3])(sum[3], zero_point);
    }
}

}  // namespace

namespace dsp {

void depthwise_conv2d(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const int32_t height = x.dim[1], width = x.dim[2];
    const size_t ic = x.dim[3], oc = y.dim[3], multiplier = oc / ic;
    const size_t taps = size_t(w.kernel_h) * size_t(w.kernel_w);
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), oc);
    auto* tap = reinterpret_cast<const int8_t**>(c.scratch.data());
    auto* outside = reinterpret_cast<int8_t*>(tap + taps + 1);
    memset(outside, x.zero_point, ic);
    tap[taps] = outside;  // weighs 0
    const size_t all = (taps + 1) / 2 * 2;
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
            all_channels(tap, all, a, oc, multiplier == 2, y.zero_point, out);
        }
    }
    clamp_bytes(i8_out(&y), y.elements(), p.clamp);
}

}  // namespace dsp
}  // namespace lockstep::model::kernels
#endif
