// fully_connected: weights in pairs of channels (WeightLayout::pairs) four channels at a time, else two.
#include "models/core/kernels/dsp_choice.h"
#if defined(LOCKSTEP_DSP_KERNELS)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {
namespace {

inline uint32_t smlad(uint32_t x, uint32_t w, uint32_t sum) {
    asm("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(w));
    return sum;
}

// Halfwords hold 256 * b + (a + 128). f and e of two pairs of channels: f = sum of x * halfword,
// e = sum of x * its low byte, so that b's sum is (f - e) / 256 and a's e - 128 * sum of x.
inline const int8_t* dot_pairs(const int8_t* x, const int8_t* end, const int8_t* w, uint32_t f[2],
                               uint32_t e[2]) {
    const size_t fours = size_t(end - x) / 4;
    uint32_t f0 = 0, e0 = 0, f1 = 0, e1 = 0;
#define FOUR_INPUTS                  \
    "ldr r3, [%[x]], #4\n"           \
    "ldmia %[w]!, {r8-r11}\n"        \
    "sxtb16 r12, r3, ror #8\n"       \
    "sxtb16 r3, r3\n"                \
    "uxtb16 lr, r8\n"                \
    "smlad %[f0], r3, r8, %[f0]\n"   \
    "smlad %[e0], r3, lr, %[e0]\n"   \
    "uxtb16 lr, r9\n"                \
    "smlad %[f0], r12, r9, %[f0]\n"  \
    "smlad %[e0], r12, lr, %[e0]\n"  \
    "uxtb16 lr, r10\n"               \
    "smlad %[f1], r3, r10, %[f1]\n"  \
    "smlad %[e1], r3, lr, %[e1]\n"   \
    "uxtb16 lr, r11\n"               \
    "smlad %[f1], r12, r11, %[f1]\n" \
    "smlad %[e1], r12, lr, %[e1]\n"
    asm volatile(
        "ldr lr, %[n]\n"
        "lsls lr, lr, #31\n"
        "beq 1f\n" FOUR_INPUTS
        "cmp %[x], %[end]\n"
        "beq 2f\n"
        "1:\n" FOUR_INPUTS FOUR_INPUTS
        "cmp %[x], %[end]\n"
        "bne 1b\n"
        "2:\n"
        : [x] "+r"(x), [w] "+r"(w), [f0] "+r"(f0), [e0] "+r"(e0), [f1] "+r"(f1), [e1] "+r"(e1)
        : [end] "r"(end), [n] "m"(fours)
        : "r3", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#undef FOUR_INPUTS
    f[0] = f0;
    f[1] = f1;
    e[0] = e0;
    e[1] = e1;
    return w;
}

}  // namespace

namespace dsp {

void fully_connected_pairs(const OperatorContext& c) {
    const size_t inputs = c.input[0]->elements(), outputs = c.output->elements();
    const ChannelArrays a = channel_arrays(c.params, sizeof(FullyConnectedParams), outputs);
    const int8_t* x = i8(c.input[0]);
    int8_t* y = i8_out(c.output);
    const int32_t zero_point = c.output->zero_point;
    uint32_t sum = 0;
    for (size_t i = 0; i < inputs; i += 4) {
        const uint32_t v = load4(x + i);
        sum = smlad(even(v), 0x00010001, smlad(odd(v), 0x00010001, sum));
    }
    const int8_t* w = a.weights;
    for (size_t o = 0; o < outputs; o += 4) {
        uint32_t f[2], e[2];
        w = dot_pairs(x, x + inputs, w, f, e);
        for (size_t k = 0; k < 2; ++k) {
            const size_t at = o + 2 * k;
            const int32_t first = int32_t(e[k] - 128 * sum), second = int32_t(f[k] - e[k]) >> 8;
            y[at] = Quick(a.multiplier[at], a.shift[at])(a.bias[at] + first, zero_point);
            y[at + 1] = Quick(a.multiplier[at + 1], a.shift[at + 1])(a.bias[at + 1] + second, zero_point);
        }
    }
    clamp_bytes(y, outputs, header<FullyConnectedParams>(c).clamp);
}

void fully_connected_rows(const OperatorContext& c) {
    const size_t inputs = c.input[0]->elements(), outputs = c.output->elements();
    const ChannelArrays a = channel_arrays(c.params, sizeof(FullyConnectedParams), outputs);
    const int8_t* x = i8(c.input[0]);
    int8_t* y = i8_out(c.output);
    const int32_t zero_point = c.output->zero_point;
    for (size_t o = 0; o < outputs; o += 2) {
        const size_t last = o + 1 < outputs ? o + 1 : o;
        const int8_t* w0 = a.weights + o * inputs;
        const int8_t* w1 = a.weights + last * inputs;
        uint32_t s0 = 0, s1 = 0;
        size_t i = 0;
        for (; i + 4 <= inputs; i += 4) {
            const uint32_t v = load4(x + i), u0 = load4(w0 + i), u1 = load4(w1 + i);
            s0 = smlad(odd(v), odd(u0), smlad(even(v), even(u0), s0));
            s1 = smlad(odd(v), odd(u1), smlad(even(v), even(u1), s1));
        }
        for (; i < inputs; ++i) {
            s0 += uint32_t(x[i] * w0[i]);
            s1 += uint32_t(x[i] * w1[i]);
        }
        y[o] = Quick(a.multiplier[o], a.shift[o])(a.bias[o] + int32_t(s0), zero_point);
        y[last] = Quick(a.multiplier[last], a.shift[last])(a.bias[last] + int32_t(s1), zero_point);
    }
    clamp_bytes(y, outputs, header<FullyConnectedParams>(c).clamp);
}

}  // namespace dsp
}  // namespace lockstep::model::kernels
#endif
