// conv2d, sixteen taps a step. A window of up to 64 taps stays in registers while the channels go by, four at
// a time; longer ones are taken in pairs. Both are read in place where they are one run of bytes. Of still
// longer windows four are copied into steps of four times sixteen bytes, zeros behind the last tap, and one
// channel is made of all four.
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

// One window by four output channels at a time; the window stays in q0 to q3 while the channels go by.
struct Window {
    const int8_t* x;
    const int8_t* weights;
    size_t row;  // taps, from one channel's weights to the next
    const int32_t* bias;
    size_t channel_bytes;  // from a channel's bias to its multiplier, and on to its shift
    int8_t* out;
    size_t quads;
    uint32_t last;  // taps of the last step of sixteen
    int32_t zero_point, low, high;
};

// A step's products with four rows of weights; LAST leaves out what p0 does.
#define ROWS(at, x, mac, t)                                   \
    "vldrb" t ".8 q4, [r1, #" at "]\n" mac t ".s8 r0, q4, " x \
    "\n"                                                      \
    "vldrb" t ".8 q4, [r3, #" at "]\n" mac t ".s8 r2, q4, " x "\n"
#define MORE(at, x, mac, t)                                   \
    "vldrb" t ".8 q4, [r5, #" at "]\n" mac t ".s8 r4, q4, " x \
    "\n"                                                      \
    "vldrb" t ".8 q4, [r11, #" at "]\n" mac t ".s8 r6, q4, " x "\n"
#define STEP(at, x, mac) ROWS(at, x, mac, "") MORE(at, x, mac, "")
#define LAST(at, x, mac) "vpstttt\n" ROWS(at, x, mac, "t") "vpstttt\n" MORE(at, x, mac, "t")
// Every shift is to the right.
#define WINDOW(name, loads, steps)                              \
    __attribute__((naked, noinline)) void name(const Window*) { \
        asm volatile(                                           \
            "push {r4-r11, lr}\n"                               \
            "vpush {d8-d15}\n"                                  \
            "ldr r1, [r0, #32]\n"                               \
            "push {r1}\n"                                       \
            "ldrd r1, r2, [r0, #36]\n"                          \
            "vdup.32 q5, r1\n"                                  \
            "vdup.32 q6, r2\n"                                  \
            "ldrd r2, r1, [r0, #24]\n"                          \
            "vctp.8 r1\n"                                       \
            "dls lr, r2\n"                                      \
            "ldrd r2, r1, [r0]\n" loads                         \
            "ldrd r12, r8, [r0, #8]\n"                          \
            "add r3, r1, r12\n"                                 \
            "add r5, r3, r12\n"                                 \
            "add r11, r5, r12\n"                                \
            "lsl r12, r12, #2\n"                                \
            "ldrd r9, r7, [r0, #16]\n"                          \
            "add r10, r8, r9, lsl #1\n"                         \
            "add r9, r8\n"                                      \
            "1:\n" steps                                        \
            "vmov q4[2], q4[0], r0, r4\n"                       \
            "vmov q4[3], q4[1], r2, r6\n"                       \
            "vldrw.u32 q7, [r8], #16\n"                         \
            "vadd.i32 q4, q4, q7\n"                             \
            "vldrw.u32 q7, [r9], #16\n"                         \
            "vqrdmulh.s32 q4, q4, q7\n"                         \
            "vshr.s32 q7, q4, #31\n"                            \
            "vqadd.s32 q4, q4, q7\n"                            \
            "vldrw.u32 q7, [r10], #16\n"                        \
            "vrshl.s32 q4, q4, q7\n"                            \
            "ldr r0, [sp]\n"                                    \
            "add r1, r12\n"                                     \
            "add r3, r12\n"                                     \
            "vqadd.s32 q4, q4, r0\n"                            \
            "add r5, r12\n"                                     \
            "add r11, r12\n"                                    \
            "vmax.s32 q4, q4, q5\n"                             \
            "vmin.s32 q4, q4, q6\n"                             \
            "vstrb.32 q4, [r7], #4\n"                           \
            "le lr, 1b\n"                                       \
            "add sp, #4\n"                                      \
            "vpop {d8-d15}\n"                                   \
            "pop {r4-r11, pc}\n");                              \
    }
#define LOAD(q, at) "vldrb.8 " q ", [r2, #" at "]\n"
#define LOAD_LAST(q, at) "vpst\n vldrbt.8 " q ", [r2, #" at "]\n"
#define FIRST STEP("0", "q0", "vmladav")
#define NEXT(at, x) STEP(at, x, "vmladava")
#define LAST_NEXT(at, x) LAST(at, x, "vmladava")
// By steps, whole ones and with a last one that is not.
WINDOW(whole_1, LOAD("q0", "0"), FIRST)
WINDOW(whole_2, LOAD("q0", "0") LOAD("q1", "16"), FIRST NEXT("16", "q1"))
WINDOW(whole_3, LOAD("q0", "0") LOAD("q1", "16") LOAD("q2", "32"), FIRST NEXT("16", "q1") NEXT("32", "q2"))
WINDOW(whole_4, LOAD("q0", "0") LOAD("q1", "16") LOAD("q2", "32") LOAD("q3", "48"),
       FIRST NEXT("16", "q1") NEXT("32", "q2") NEXT("48", "q3"))
WINDOW(part_1, LOAD_LAST("q0", "0"), LAST("0", "q0", "vmladav"))
WINDOW(part_2, LOAD("q0", "0") LOAD_LAST("q1", "16"), FIRST LAST_NEXT("16", "q1"))
WINDOW(part_3, LOAD("q0", "0") LOAD("q1", "16") LOAD_LAST("q2", "32"),
       FIRST NEXT("16", "q1") LAST_NEXT("32", "q2"))
WINDOW(part_4, LOAD("q0", "0") LOAD("q1", "16") LOAD("q2", "32") LOAD_LAST("q3", "48"),
       FIRST NEXT("16", "q1") NEXT("32", "q2") LAST_NEXT("48", "q3"))
using RunWindow = void (*)(const Window*);
constexpr RunWindow kWhole[] = {whole_1, whole_2, whole_3, whole_4},
                    kPart[] = {part_1, part_2, part_3, part_4};
constexpr size_t kShort = 64;  // taps

// One output row's input, with its padding; null when it is not one run of bytes or does not fit.
const int8_t* padded_row(const Tensor& x, const WindowParams& w, int32_t oy, int32_t cells,
                         MutableBytes room) {
    const int32_t ic = x.dim[3], iy = oy * w.stride_h - w.pad_top;
    const int32_t width = (cells - 1) * w.stride_w + w.kernel_w, left = w.pad_left;
    if (size_t(width * ic) > room.size()) return nullptr;
    auto* row = reinterpret_cast<int8_t*>(room.data());
    memset(row, x.zero_point, size_t(width * ic));
    const int32_t some = x.dim[2] < width - left ? x.dim[2] : width - left;
    if (iy >= 0 && iy < x.dim[1] && some > 0)
        memcpy(row + left * ic, i8(&x) + iy * x.dim[2] * ic, size_t(some * ic));
    return row;
}

// use(window, cell) for every output cell, in order: in place where the window is one run of bytes, else one
// copied into copy[cell % 2]. With `pad`, rows are padded in the scratch where they fit, which then has no
// room for copies, nor needs them.
template <typename Use>
inline void for_windows(const OperatorContext& c, bool pad, int8_t* const copy[2], Use use) {
    const Tensor& x = *c.input[0];
    const WindowParams& w = header<ConvParams>(c).window;
    const int32_t ic = x.dim[3], columns = c.output->dim[2], rows = c.output->dim[1], step = w.stride_w * ic;
    const bool flat = w.kernel_h == 1 && w.dilation_w == 1;
    size_t cell = 0;
    for (int32_t oy = 0; oy < rows; ++oy) {
        const int32_t iy = oy * w.stride_h - w.pad_top;
        // Output columns [first, last) have their window in `row`.
        int32_t first = 0, last = columns;
        const int8_t* row =
            pad && flat && w.kernel_w > 1 ? padded_row(x, w, oy, columns, c.scratch) : nullptr;
        if (row == nullptr) {
            row = i8(&x) + (iy * x.dim[2] - w.pad_left) * ic;
            first = (w.pad_left + w.stride_w - 1) / w.stride_w;
            const int32_t room = x.dim[2] + w.pad_left - w.kernel_w;
            last = room < 0 ? 0 : room / w.stride_w + 1;
            if (!flat || iy < 0 || iy >= x.dim[1]) last = 0;
        }
        for (int32_t ox = 0; ox < columns; ++ox, row += step, ++cell)
            use(ox >= first && ox < last ? row : window(x, w, oy, ox, copy[cell % 2]), cell);
    }
}

void short_windows(const OperatorContext& c) {
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const size_t channels = y.dim[3];
    const size_t taps = size_t(p.window.kernel_h * p.window.kernel_w * c.input[0]->dim[3]);
    const size_t steps = (taps + 15) / 16;
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), channels);
    const RunWindow run = (taps % 16 == 0 ? kWhole : kPart)[steps - 1];
    Window job = {nullptr,      a.weights,   taps,         a.bias,
                  4 * channels, i8_out(&y),  channels / 4, uint32_t(taps - 16 * (steps - 1)),
                  y.zero_point, p.clamp.low, p.clamp.high};
    // The last four channels once more where they are no four of their own.
    Window rest = job;
    rest.weights += (channels - 4) * taps;
    rest.bias += channels - 4;
    rest.quads = 1;
    auto* scratch = reinterpret_cast<int8_t*>(c.scratch.data());
    int8_t* const copy[2] = {scratch, scratch};
    for_windows(c, true, copy, [&](const int8_t* x, size_t) {
        job.x = x;
        run(&job);
        if (channels % 4 != 0) {
            rest.x = x;
            rest.out = job.out + channels - 4;
            run(&rest);
        }
        job.out += channels;
    });
}

// Two windows of more taps by four output channels at a time: eight sums in every even register.
struct Pair {
    const int8_t* x[2];
    const int8_t* weights;
    size_t row;
    const int32_t* bias;
    size_t channel_bytes;
    int8_t* out[2];
    size_t quads;
    size_t skip;  // from behind the whole steps of a row of weights to the row four further
    size_t whole;
    uint32_t last;  // taps of a last step that is not whole, or 0
    int32_t zero_point, low, high;
};
constexpr size_t kLong = 16 * 16 + 15;  // taps

#define PAIR_STEP(mac)                                \
    "vldrb.8 q0, [r9], #16\n"                         \
    "vldrb.8 q1, [r11], #16\n"                        \
    "vldrb.8 q2, [r1], #16\n" mac " r0, q0, q2\n" mac \
    " r8, q1, q2\n"                                   \
    "vldrb.8 q3, [r3], #16\n" mac " r2, q0, q3\n" mac \
    " r10, q1, q3\n"                                  \
    "vldrb.8 q2, [r5], #16\n" mac " r4, q0, q2\n" mac \
    " r12, q1, q2\n"                                  \
    "vldrb.8 q3, [r7], #16\n" mac " r6, q0, q3\n" mac " r14, q1, q3\n"
// No register is left to count steps: a jump leads into fifteen of them, each of 56 bytes.
__attribute__((naked, noinline)) void run_pair(Pair*) {
    asm volatile(
        "push {r4-r11, lr}\n"
        "vpush {d8-d15}\n"
        "sub sp, #12\n"
        "str r0, [sp]\n"
        "ldrd r1, r2, [r0, #52]\n"
        "vdup.32 q5, r1\n"
        "vdup.32 q6, r2\n"
        "ldrd r1, r3, [r0, #40]\n"
        "rsb r1, r1, #16\n"
        "movs r2, #56\n"
        "mul r1, r1, r2\n"
        "adr.w r2, 2f\n"
        "add r1, r2\n"
        "add r1, #1\n"
        "str r1, [sp, #4]\n"
        "vctp.8 r3\n"
        "adr.w r2, 3f\n"
        "cbnz r3, 5f\n"
        "adr.w r2, 4f\n"
        "5:\n"
        "add r2, #1\n"
        "str r2, [sp, #8]\n"
        "ldrd r1, r12, [r0, #8]\n"
        "add r3, r1, r12\n"
        "add r5, r3, r12\n"
        "add r7, r5, r12\n"
        "1:\n"
        "ldrd r9, r11, [r0]\n" PAIR_STEP("vmladav.s8")
        "ldr pc, [sp, #4]\n"
        "2:\n"
        ".rept 15\n" PAIR_STEP("vmladava.s8")
        ".endr\n"
        "ldr pc, [sp, #8]\n"
        "3:\n"
        "vpstttt\n"
        "vldrbt.8 q0, [r9]\n"
        "vldrbt.8 q1, [r11]\n"
        "vldrbt.8 q2, [r1]\n"
        "vmladavat.s8 r0, q0, q2\n"
        "vpstttt\n"
        "vmladavat.s8 r8, q1, q2\n"
        "vldrbt.8 q3, [r3]\n"
        "vmladavat.s8 r2, q0, q3\n"
        "vmladavat.s8 r10, q1, q3\n"
        "vpstttt\n"
        "vldrbt.8 q2, [r5]\n"
        "vmladavat.s8 r4, q0, q2\n"
        "vmladavat.s8 r12, q1, q2\n"
        "vldrbt.8 q3, [r7]\n"
        "vpstt\n"
        "vmladavat.s8 r6, q0, q3\n"
        "vmladavat.s8 r14, q1, q3\n"
        "4:\n"
        "vmov q0[2], q0[0], r0, r4\n"
        "vmov q0[3], q0[1], r2, r6\n"
        "vmov q1[2], q1[0], r8, r12\n"
        "vmov q1[3], q1[1], r10, r14\n"
        "ldr r0, [sp]\n"
        "ldrd r2, r4, [r0, #16]\n"
        "vldrw.u32 q2, [r2]\n"
        "vadd.i32 q0, q0, q2\n"
        "vadd.i32 q1, q1, q2\n"
        "add r6, r2, r4\n"
        "vldrw.u32 q2, [r6]\n"
        "vqrdmulh.s32 q0, q0, q2\n"
        "vqrdmulh.s32 q1, q1, q2\n"
        "add r6, r4\n"
        "vshr.s32 q3, q0, #31\n"
        "vqadd.s32 q0, q0, q3\n"
        "vshr.s32 q3, q1, #31\n"
        "vqadd.s32 q1, q1, q3\n"
        "vldrw.u32 q2, [r6]\n"
        "vrshl.s32 q0, q0, q2\n"
        "vrshl.s32 q1, q1, q2\n"
        "ldr r6, [r0, #48]\n"
        "vqadd.s32 q0, q0, r6\n"
        "vqadd.s32 q1, q1, r6\n"
        "vmax.s32 q0, q0, q5\n"
        "vmax.s32 q1, q1, q5\n"
        "vmin.s32 q0, q0, q6\n"
        "vmin.s32 q1, q1, q6\n"
        "ldrd r4, r6, [r0, #24]\n"
        "vstrb.32 q0, [r4], #4\n"
        "vstrb.32 q1, [r6], #4\n"
        "strd r4, r6, [r0, #24]\n"
        "adds r2, #16\n"
        "str r2, [r0, #16]\n"
        "ldrd r2, r4, [r0, #32]\n"
        "add r1, r4\n"
        "add r3, r4\n"
        "add r5, r4\n"
        "add r7, r4\n"
        "subs r2, #1\n"
        "str r2, [r0, #32]\n"
        "bne.w 1b\n"
        "add sp, #12\n"
        "vpop {d8-d15}\n"
        "pop {r4-r11, pc}\n");
}
#undef PAIR_STEP

void long_windows(const OperatorContext& c) {
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const size_t channels = y.dim[3], cells = size_t(y.dim[1]) * y.dim[2];
    const size_t taps = size_t(p.window.kernel_h * p.window.kernel_w * c.input[0]->dim[3]), whole = taps / 16;
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), channels);
    auto* scratch = reinterpret_cast<int8_t*>(c.scratch.data());
    int8_t* const copy[2] = {scratch, scratch + taps};
    const Pair all = {{},           a.weights,
                      taps,         a.bias,
                      4 * channels, {},
                      channels / 4, 4 * taps - 16 * whole,
                      whole,        uint32_t(taps % 16),
                      y.zero_point, p.clamp.low,
                      p.clamp.high};
    int8_t* out = i8_out(&y);
    const int8_t* before = nullptr;
    for_windows(c, false, copy, [&](const int8_t* x, size_t cell) {
        const bool alone = cell + 1 == cells && cell % 2 == 0;
        if (cell % 2 == 0 && !alone) {
            before = x;
            return;
        }
        Pair job = all;
        job.x[0] = alone ? x : before;
        job.x[1] = x;
        job.out[0] = out;
        job.out[1] = alone ? out : out + channels;
        Pair rest = job;
        run_pair(&job);
        if (channels % 4 != 0) {
            rest.weights += (channels - 4) * taps;
            rest.bias += channels - 4;
            rest.out[0] += channels - 4;
            rest.out[1] += channels - 4;
            rest.quads = 1;
            run_pair(&rest);
        }
        out += 2 * channels;
    });
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
    if (taps <= kLong && channels >= 4) {
        (taps <= kShort ? short_windows : long_windows)(c);
        return true;
    }
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
        if (channels > 1) run_any(job, a.weights, a.bias, job.out, channels - 1);
        run_any(job, last_row, a.bias + channels - 1, job.out + channels - 1, 1);
    }
    return true;
}

}  // namespace lockstep::model::kernels
#endif
