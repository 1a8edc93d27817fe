// fully_connected: four outputs at a time, sixteen inputs a step.
#if defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/mve.h"

namespace lockstep::model::kernels {
namespace {

inline int32x4_t dot_4(const int8_t* x, const int8_t* w, size_t row, size_t n) {
    const int8_t* w1 = w + row;
    const int8_t* w2 = w1 + row;
    const int8_t* w3 = w2 + row;
    int32_t a = 0, b = 0, c = 0, d = 0;
#define SIXTEEN                  \
    "vldrb.8 q0, [%[x]], #16\n"  \
    "vldrb.8 q1, [%[w0]], #16\n" \
    "vmladava.s8 %[a], q0, q1\n" \
    "vldrb.8 q2, [%[w1]], #16\n" \
    "vmladava.s8 %[b], q0, q2\n" \
    "vldrb.8 q1, [%[w2]], #16\n" \
    "vmladava.s8 %[c], q0, q1\n" \
    "vldrb.8 q2, [%[w3]], #16\n" \
    "vmladava.s8 %[d], q0, q2\n"
    asm volatile(
        "wlstp.8 lr, %[n], 2f\n"
        "1:\n" SIXTEEN
        "letp lr, 1b\n"
        "2:\n"
        : [x] "+r"(x), [w0] "+r"(w), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [a] "+Te"(a), [b] "+Te"(b),
          [c] "+Te"(c), [d] "+Te"(d)
        : [n] "r"(n)
        : "q0", "q1", "q2", "lr", "memory");
#undef SIXTEEN
    return lanes(a, b, c, d);
}

struct Job {
    const int8_t* x;
    const int8_t* weights;
    size_t steps;  // of 32 inputs
    const int32_t* bias;
    const int32_t* multiplier;
    const int32_t* shift;
    int8_t* y;
    const int8_t* end;  // of y
    int32_t zero_point, low, high;
};

// Whole fours of outputs and 32s of inputs.
__attribute__((naked, noinline)) void run_whole(const Job*) {
#define SIXTEEN                \
    "vldrb.8 q0, [r1], #16\n"  \
    "vldrb.8 q1, [r3], #16\n"  \
    "vmladava.s8 r0, q0, q1\n" \
    "vldrb.8 q2, [r5], #16\n"  \
    "vmladava.s8 r2, q0, q2\n" \
    "vldrb.8 q1, [r12], #16\n" \
    "vmladava.s8 r4, q0, q1\n" \
    "vldrb.8 q2, [r9], #16\n"  \
    "vmladava.s8 r6, q0, q2\n"
    asm volatile(
        "push {r4-r11, lr}\n"
        "vpush {d10-d15}\n"
        "sub sp, #12\n"
        "ldr r1, [r0]\n"
        "ldr r9, [r0, #4]\n"
        "ldr r11, [r0, #8]\n"
        "ldr r8, [r0, #12]\n"
        "ldr r10, [r0, #16]\n"
        "ldr r2, [r0, #20]\n"
        "str r2, [sp]\n"
        "ldr r7, [r0, #24]\n"
        "ldr r2, [r0, #28]\n"
        "str r2, [sp, #4]\n"
        "ldr r2, [r0, #32]\n"
        "vdup.32 q5, r2\n"
        "ldr r2, [r0, #36]\n"
        "vdup.32 q6, r2\n"
        "ldr r2, [r0, #40]\n"
        "vdup.32 q7, r2\n"
        "vmov.i32 q3, #0\n"
        "1:\n"
        "mov r3, r9\n"
        "add r5, r3, r11, lsl #5\n"
        "add r12, r5, r11, lsl #5\n"
        "add r9, r12, r11, lsl #5\n"
        "movs r0, #0\n"
        "movs r2, #0\n"
        "movs r4, #0\n"
        "movs r6, #0\n"
        "dls lr, r11\n"
        "2:\n" SIXTEEN SIXTEEN
        "le lr, 2b\n"
        "sub r1, r1, r11, lsl #5\n"
        "vmov q0[2], q0[0], r0, r4\n"
        "vmov q0[3], q0[1], r2, r6\n"
        "vldrw.u32 q1, [r8], #16\n"
        "vadd.i32 q0, q0, q1\n"
        "ldrd r0, r2, [sp]\n"
        "vldrw.u32 q2, [r0], #16\n"
        "str r0, [sp]\n"
        "vmax.s32 q1, q2, q3\n"  // to the left
        "vshl.s32 q0, q0, q1\n"
        "vmin.s32 q2, q2, q3\n"
        "vldrw.u32 q1, [r10], #16\n"
        "vqrdmulh.s32 q0, q0, q1\n"
        "vand q1, q0, q2\n"
        "vshr.s32 q1, q1, #31\n"
        "vqadd.s32 q0, q0, q1\n"
        "vrshl.s32 q0, q0, q2\n"
        "vqadd.s32 q0, q0, q5\n"
        "vmax.s32 q0, q0, q6\n"
        "vmin.s32 q0, q0, q7\n"
        "vstrb.32 q0, [r7], #4\n"
        "cmp r7, r2\n"
        "bne 1b\n"
        "add sp, #12\n"
        "vpop {d10-d15}\n"
        "pop {r4-r11, pc}\n");
#undef SIXTEEN
}

}  // namespace

bool fully_connected(const OperatorContext& c) {
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    const size_t inputs = c.input[0]->elements(), outputs = c.output->elements();
    if (WeightLayout(p.layout) != WeightLayout::rows) return false;
    const ChannelArrays a = channel_arrays(c.params, sizeof(FullyConnectedParams), outputs);
    const Bounds bounds = bounds_of(*c.output, p.clamp);
    const int8_t* x = i8(c.input[0]);
    int8_t* y = i8_out(c.output);
    if (inputs % 32 == 0 && outputs % 4 == 0) {
        const Job job = {x, a.weights,   inputs / 32,          a.bias,      a.multiplier, a.shift,
                         y, y + outputs, c.output->zero_point, p.clamp.low, p.clamp.high};
        run_whole(&job);
        return true;
    }
    for (size_t o = 0; o < outputs; o += 4) {
        // The last four outputs may have been computed already; they come out the same.
        if (o + 4 > outputs) {
            if (outputs < 4) return false;
            o = outputs - 4;
        }
        const int32x4_t sum = dot_4(x, a.weights + o * inputs, inputs, inputs);
        vstrbq_s32(y + o, rescale(vaddq_s32(sum, vldrwq_s32(a.bias + o)), vldrwq_s32(a.multiplier + o),
                                  vldrwq_s32(a.shift + o), bounds));
    }
    return true;
}

}  // namespace lockstep::model::kernels
#endif
