// conv2d: four cells by one output channel at a time, sixteen taps a step. The four windows are copied
// into steps of four times sixteen bytes, zeros behind the last tap.
#if defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/mve.h"
#include "models/core/kernels/window.h"

namespace lockstep::model::kernels {
namespace {

struct Job {
    const int8_t* x;  // steps of 64 bytes
    int8_t* out;
    size_t channels, row_step;  // row_step: from one channel's weights to the next
    size_t steps;
    uint32x4_t place;  // of the four cells' outputs
    Bounds bounds;
    uint32_t real;  // cells
};

// %[x] and %[w] as they are; q0..q3 the weights of up to four steps.
#define MACS_OF(step, q)           \
    "vldrw.u32 q4, [%[x], #" #step \
    "*64]\n"                       \
    "vmladava.s8 %[a], q4, " q     \
    "\n"                           \
    "vldrw.u32 q4, [%[x], #" #step \
    "*64+16]\n"                    \
    "vmladava.s8 %[b], q4, " q     \
    "\n"                           \
    "vldrw.u32 q4, [%[x], #" #step \
    "*64+32]\n"                    \
    "vmladava.s8 %[c], q4, " q     \
    "\n"                           \
    "vldrw.u32 q4, [%[x], #" #step \
    "*64+48]\n"                    \
    "vmladava.s8 %[d], q4, " q "\n"
#define FIRST_OF                  \
    "vldrb.8 q0, [%[w]]\n"        \
    "vldrw.u32 q4, [%[x]]\n"      \
    "vmladav.s8 %[a], q4, q0\n"   \
    "vldrw.u32 q4, [%[x], #16]\n" \
    "vmladav.s8 %[b], q4, q0\n"   \
    "vldrw.u32 q4, [%[x], #32]\n" \
    "vmladav.s8 %[c], q4, q0\n"   \
    "vldrw.u32 q4, [%[x], #48]\n" \
    "vmladav.s8 %[d], q4, q0\n"
#define STEP(n) "vldrb.8 q0, [%[w], #" #n "*16]\n" MACS_OF(n, "q0")
// Every shift is to the right.
#define RESCALE_AND_STORE                  \
    "vmov q4[2], q4[0], %[a], %[c]\n"      \
    "vmov q4[3], q4[1], %[b], %[d]\n"      \
    "ldr %[a], [%[bias]]\n"                \
    "ldr %[c], [%[bias], %[cb]]\n"         \
    "vadd.i32 q4, q4, %[a]\n"              \
    "ldr %[b], [%[bias], %[cb], lsl #1]\n" \
    "vqrdmulh.s32 q4, q4, %[c]\n"          \
    "adds %[bias], #4\n"                   \
    "vshr.s32 q0, q4, #31\n"               \
    "vqadd.s32 q4, q4, q0\n"               \
    "vrshl.s32 q4, %[b]\n"                 \
    "add %[w], %[row]\n"                   \
    "vqadd.s32 q4, q4, %[zero]\n"          \
    "vmax.s32 q4, q4, %q[low]\n"           \
    "vmin.s32 q4, q4, %q[high]\n"
#define LOOP(body)                                                                                      \
    asm volatile(                                                                                       \
        "dls lr, %[n]\n"                                                                                \
        "1:\n" body RESCALE_AND_STORE                                                                   \
        "vstrb.32 q4, [%[out], %q[place]]\n"                                                            \
        "adds %[out], #1\n"                                                                             \
        "le lr, 1b\n"                                                                                   \
        : [w] "+r"(w), [bias] "+r"(bias), [out] "+r"(out), [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), \
          [d] "=&Te"(d)                                                                                 \
        : [n] "r"(channels), [x] "r"(x), [cb] "r"(4 * job.channels), [row] "r"(job.row_step),           \
          [zero] "r"(job.bounds.zero_point), [low] "t"(job.bounds.low), [high] "t"(job.bounds.high),    \
          [place] "t"(job.place)                                                                        \
        : "q0", "q4", "lr", "cc", "memory")

// `channels` channels of four real cells with at most 64 taps.
void run_short(const Job& job, const int8_t* w, const int32_t* bias, int8_t* out, size_t channels) {
    const int8_t* x = job.x;
    int32_t a, b, c, d;
    switch (job.steps) {
        case 1:
            LOOP(FIRST_OF);
            break;
        case 2:
            LOOP(FIRST_OF STEP(1));
            break;
        case 3:
            LOOP(FIRST_OF STEP(1) STEP(2));
            break;
        default:
            LOOP(FIRST_OF STEP(1) STEP(2) STEP(3));
            break;
    }
}

int32x4_t dot_long(const int8_t* x, const int8_t* w, size_t steps) {
    int32_t a = 0, b = 0, c = 0, d = 0;
#define LONG_STEP                  \
    "vldrb.8 q0, [%[w]], #16\n"    \
    "vldrw.u32 q4, [%[x]], #64\n"  \
    "vmladava.s8 %[a], q4, q0\n"   \
    "vldrw.u32 q4, [%[x], #-48]\n" \
    "vmladava.s8 %[b], q4, q0\n"   \
    "vldrw.u32 q4, [%[x], #-32]\n" \
    "vmladava.s8 %[c], q4, q0\n"   \
    "vldrw.u32 q4, [%[x], #-16]\n" \
    "vmladava.s8 %[d], q4, q0\n"
    if (steps % 2 == 0)
        asm volatile(
            "dls lr, %[n]\n"
            "1:\n" LONG_STEP LONG_STEP "le lr, 1b\n"
            : [w] "+r"(w), [x] "+r"(x), [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d)
            : [n] "r"(steps / 2)
            : "q0", "q4", "lr", "memory");
    else
        asm volatile(
            "dls lr, %[n]\n"
            "1:\n" LONG_STEP "le lr, 1b\n"
            : [w] "+r"(w), [x] "+r"(x), [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d)
            : [n] "r"(steps)
            : "q0", "q4", "lr", "memory");
    return lanes(a, b, c, d);
}

// Any number of taps and of real cells.
void run_any(const Job& job, const int8_t* w, const int32_t* bias, int8_t* out, size_t channels) {
    const mve_pred16_t real = vctp32q(job.real);
    const int32_t* end = bias + channels;
    const size_t all = job.channels, row = job.row_step, steps = job.steps;
    const Bounds bounds = job.bounds;
    const uint32x4_t place = job.place;
    for (; bias != end; ++bias, ++out, w += row) {
        int32x4_t v = vqrdmulhq_n_s32(vaddq_n_s32(dot_long(job.x, w, steps), bias[0]), bias[all]);
        v = vrshlq_n_s32(vqaddq_s32(v, vshrq_n_s32(v, 31)), bias[2 * all]);
        vstrbq_scatter_offset_p_s32(out, place, finish(v, bounds), real);
    }
}

// Window k of four, in steps.
inline void spread(const int8_t* from, size_t steps, mve_pred16_t tail, int8_t* to) {
    for (size_t i = 1; i < steps; ++i, from += 16, to += 64)
        vstrbq_s8(to, vldrbq_s8(from));
    vstrbq_s8(to, vldrbq_z_s8(from, tail));
}

}  // namespace

bool conv2d(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const size_t channels = y.dim[3], cells = size_t(y.dim[1]) * y.dim[2];
    const size_t taps = size_t(p.window.kernel_h) * size_t(p.window.kernel_w) * x.dim[3];
    const size_t steps = (taps + 15) / 16;
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), channels);
    if (WeightLayout(p.layout) != WeightLayout::rows ||
        c.scratch.size() < vector_conv_scratch_bytes(uint32_t(taps)) || !shifts_right(a, channels))
        return false;
    auto* x64 = reinterpret_cast<int8_t*>(c.scratch.data());
    int8_t* copy = x64 + 64 * steps;
    int8_t* last_row = copy + 16 * steps;
    memcpy(last_row, a.weights + (channels - 1) * taps, taps);  // so that a step may read behind it
    const uint32x4_t place = vmulq_n_u32(vidupq_n_u32(0, 1), uint32_t(channels));
    Job job = {x64, i8_out(&y), channels, taps, steps, place, bounds_of(y, p.clamp), 4};
    const mve_pred16_t tail = vctp8q(uint32_t(taps - 16 * (steps - 1)));
    int32_t oy = 0, ox = 0;
    for (size_t cell = 0; cell < cells; cell += 4, job.out += 4 * channels) {
        if (cells - cell < 4) job.real = uint32_t(cells - cell);
        for (uint32_t k = 0; k < job.real; ++k) {
            spread(window(x, p.window, oy, ox, copy), steps, tail, x64 + 16 * k);
            if (++ox == y.dim[2]) {
                ox = 0;
                ++oy;
            }
        }
        const auto run = job.real == 4 && steps <= 4 ? run_short : run_any;
        if (channels > 1) run(job, a.weights, a.bias, job.out, channels - 1);
        run(job, last_row, a.bias + channels - 1, job.out + channels - 1, 1);
    }
    return true;
}

}  // namespace lockstep::model::kernels
#endif
