// conv2d, sixteen taps a step. The first step of a window that is no whole number of them begins before it,
// with zeros there in the input, so that the weights need no mask: what lies before the first row of them are
// the channels' shifts. Windows go in pairs, by four channels at a time; up to 32 taps of two, or 64 of one,
// stay in registers while the channels go by. They are read in place where they are one run of bytes. Of
// windows past kLong taps four are copied into steps of four times sixteen bytes, zeros behind the last tap,
// and one channel is made of all four.
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

// `count` windows, or twos of them, by four output channels at a time; inputs and weights begin at their
// first step, `skip` bytes before the first tap. Every shift is to the right.
struct Windows {
    const int8_t* x[2];
    const int8_t* weights;
    size_t row;  // taps, from one channel's weights to the next
    const int32_t* bias;
    size_t channel_bytes;  // from a channel's bias to its multiplier, and on to its shift
    int8_t* out;
    size_t quads;
    size_t apart;  // from one window's output to the other's
    size_t steps;
    uint32_t skip;
    int32_t zero_point, low, high;
    size_t advance;  // from a window, or two, to the next
    size_t count;
};
using RunWindows = void (*)(Windows*);
constexpr size_t kTwo = 32, kOne = 64, kLong = 256;  // taps
constexpr size_t kFarthest = 0xffff - 3;             // apart, for halfwords of places

// Lanes from `skip` on become true.
#define BEGIN             \
    "push {r4-r11, lr}\n" \
    "vpush {d8-d15}\n"    \
    "ldr r1, [r0, #40]\n" \
    "vctp.8 r1\n"         \
    "vpnot\n"
#define END           \
    "vpop {d8-d15}\n" \
    "pop {r4-r11, pc}\n"
#define FUNCTION(name) __attribute__((naked, noipa)) void name(Windows*)
// Places 0, apart, 1, apart + 1 and so on in q4, bounds in q5 and q6: halfwords of two windows.
#define HALFWORDS              \
    "movs r2, #0\n"            \
    "vidup.u32 q4, r2, #1\n"   \
    "ldr r2, [r0, #32]\n"      \
    "vdup.32 q5, r2\n"         \
    "vadd.i32 q5, q5, q4\n"    \
    "vmovnt.i32 q4, q5\n"      \
    "ldrd r2, r4, [r0, #48]\n" \
    "vdup.16 q5, r2\n"         \
    "vdup.16 q6, r4\n"
// r1, r3, r5 and r7 become the first four channels' weights.
#define WEIGHTS               \
    "ldrd r1, r2, [r0, #8]\n" \
    "add r3, r1, r2\n"        \
    "add r5, r3, r2\n"        \
    "add r7, r5, r2\n"
// r8, r9 and r10 become biases, multipliers and shifts, lr counts fours of channels.
#define CHANNELS                \
    "ldrd r8, r9, [r0, #16]\n"  \
    "add r10, r8, r9, lsl #1\n" \
    "add r9, r8\n"              \
    "ldr r2, [r0, #28]\n"       \
    "dls lr, r2\n"
// Zero when all windows are done.
#define COUNT             \
    "ldr r2, [r0, #60]\n" \
    "subs r2, #1\n"       \
    "str r2, [r0, #60]\n"
// Two windows' sums a and b become the halfwords of a; t is free. Biases, multipliers and shifts are read
// into q by the last three.
#define RESCALE_TWO(a, b, q, t, bias, multiplier, shift)                             \
    bias "vadd.i32 " a ", " a ", " q                                                 \
         "\n"                                                                        \
         "vadd.i32 " b ", " b ", " q "\n" multiplier "vqrdmulh.s32 " a ", " a ", " q \
         "\n"                                                                        \
         "vqrdmulh.s32 " b ", " b ", " q                                             \
         "\n"                                                                        \
         "vshr.s32 " t ", " a                                                        \
         ", #31\n"                                                                   \
         "vqadd.s32 " a ", " a ", " t                                                \
         "\n"                                                                        \
         "vshr.s32 " t ", " b                                                        \
         ", #31\n"                                                                   \
         "vqadd.s32 " b ", " b ", " t "\n" shift "vrshl.s32 " a ", " a ", " q        \
         "\n"                                                                        \
         "vrshl.s32 " b ", " b ", " q                                                \
         "\n"                                                                        \
         "vqmovnb.s32 " a ", " a                                                     \
         "\n"                                                                        \
         "vqmovnt.s32 " a ", " b "\n"

// One window in q0 to q3; ROW(weights, sum) makes one sum.
#define ONE_WINDOW(name, loads, ROW)                                        \
    FUNCTION(name) {                                                        \
        asm volatile(BEGIN                                                \
            "push {r0}\n"                                                 \
            "ldrd r4, r2, [r0, #44]\n"                                    \
            "vdup.32 q5, r2\n"                                            \
            "ldr r2, [r0, #52]\n"                                         \
            "vdup.32 q6, r2\n"                                            \
            "ldr r12, [r0, #12]\n"                                        \
            "lsl r12, r12, #2\n"                                          \
            "ldr r6, [r0, #24]\n"                                         \
            "0:\n"                                                        \
            "ldr r2, [r0]\n"                                              \
            "vpst\n"                                                      \
            "vldrbt.8 q0, [r2]\n" loads                                   \
            "ldr r1, [r0, #56]\n"                                         \
            "add r2, r1\n"                                                \
            "str r2, [r0]\n" WEIGHTS CHANNELS                             \
            "1:\n" ROW("r1", "r0") ROW("r5", "r2")                        \
            "vmov q7[2], q7[0], r0, r2\n" ROW("r3", "r0") ROW("r7", "r2") \
            "vmov q7[3], q7[1], r0, r2\n"                                 \
            "vldrw.u32 q4, [r8], #16\n"                                   \
            "vadd.i32 q7, q7, q4\n"                                       \
            "vldrw.u32 q4, [r9], #16\n"                                   \
            "vqrdmulh.s32 q7, q7, q4\n"                                   \
            "vshr.s32 q4, q7, #31\n"                                      \
            "vqadd.s32 q7, q7, q4\n"                                      \
            "vldrw.u32 q4, [r10], #16\n"                                  \
            "vrshl.s32 q7, q7, q4\n"                                      \
            "add r1, r12\n"                                               \
            "add r3, r12\n"                                               \
            "vqadd.s32 q7, q7, r4\n"                                      \
            "add r5, r12\n"                                               \
            "add r7, r12\n"                                               \
            "vmax.s32 q7, q7, q5\n"                                       \
            "vmin.s32 q7, q7, q6\n"                                       \
            "vstrb.32 q7, [r6], #4\n"                                     \
            "le lr, 1b\n"                                                 \
            "ldr r0, [sp]\n" COUNT                                        \
            "bne 0b\n"                                                    \
            "add sp, #4\n" END); \
    }
#define PRODUCTS(w, at, sum, x, mac) "vldrb.8 q4, [" w ", #" at "]\n" mac ".s8 " sum ", q4, " x "\n"
#define ROW_3(w, sum)                        \
    PRODUCTS(w, "0", sum, "q0", "vmladav")   \
    PRODUCTS(w, "16", sum, "q1", "vmladava") \
    PRODUCTS(w, "32", sum, "q2", "vmladava")
#define ROW_4(w, sum) ROW_3(w, sum) PRODUCTS(w, "48", sum, "q3", "vmladava")
ONE_WINDOW(one_3, "vldrb.8 q1, [r2, #16]\n vldrb.8 q2, [r2, #32]\n", ROW_3)
ONE_WINDOW(one_4, "vldrb.8 q1, [r2, #16]\n vldrb.8 q2, [r2, #32]\n vldrb.8 q3, [r2, #48]\n", ROW_4)

// Two windows in q0 to q3; ROW(weights, sum, other sum) makes one sum of each.
#define TWO_WINDOWS(name, loads, ROW)                                                   \
    FUNCTION(name) {                                                                    \
        asm volatile(BEGIN                                                            \
            "sub sp, #56\n" HALFWORDS                                                 \
            "vstrw.32 q4, [sp]\n"                                                     \
            "vstrw.32 q5, [sp, #16]\n"                                                \
            "vstrw.32 q6, [sp, #32]\n"                                                \
            "ldr r2, [r0, #44]\n"                                                     \
            "strd r2, r0, [sp, #48]\n"                                                \
            "ldr r11, [r0, #12]\n"                                                    \
            "lsl r11, r11, #2\n"                                                      \
            "ldr r12, [r0, #24]\n"                                                    \
            "0:\n"                                                                    \
            "ldrd r2, r4, [r0]\n" loads                                               \
            "ldr r1, [r0, #56]\n"                                                     \
            "add r2, r1\n"                                                            \
            "add r4, r1\n"                                                            \
            "strd r2, r4, [r0]\n" WEIGHTS CHANNELS                                    \
            "1:\n" ROW("r1", "r0", "r4") ROW("r5", "r2", "r6")                        \
            "vmov q4[2], q4[0], r0, r2\n"                                             \
            "vmov q5[2], q5[0], r4, r6\n" ROW("r3", "r0", "r4") ROW("r7", "r2", "r6") \
            "vmov q4[3], q4[1], r0, r2\n"                                             \
            "vmov q5[3], q5[1], r4, r6\n"                                             \
            RESCALE_TWO("q4", "q5", "q6", "q7", "vldrw.u32 q6, [r8], #16\n",          \
                        "vldrw.u32 q6, [r9], #16\n", "vldrw.u32 q6, [r10], #16\n")    \
            "ldr r0, [sp, #48]\n"                                                     \
            "vqadd.s16 q4, q4, r0\n"                                                  \
            "add r1, r11\n"                                                           \
            "add r3, r11\n"                                                           \
            "vldrw.u32 q5, [sp, #16]\n"                                               \
            "vmax.s16 q4, q4, q5\n"                                                   \
            "add r5, r11\n"                                                           \
            "add r7, r11\n"                                                           \
            "vldrw.u32 q6, [sp, #32]\n"                                               \
            "vmin.s16 q4, q4, q6\n"                                                   \
            "vldrw.u32 q7, [sp]\n"                                                    \
            "vstrb.16 q4, [r12, q7]\n"                                                \
            "add r12, #4\n"                                                           \
            "le lr, 1b\n"                                                             \
            "ldr r0, [sp, #52]\n"                                                     \
            "ldr r2, [r0, #32]\n"                                                     \
            "add r12, r2\n" COUNT                                                     \
            "bne.w 0b\n"                                                              \
            "add sp, #56\n" END); \
    }
#define BOTH(q, w, at, sum, other, x, y, mac) \
    "vldrb.8 " q ", [" w ", #" at "]\n" mac ".s8 " sum ", " q ", " x "\n" mac ".s8 " other ", " q ", " y "\n"
#define ROW_1(w, sum, other) BOTH("q6", w, "0", sum, other, "q0", "q2", "vmladav")
#define ROW_2(w, sum, other) ROW_1(w, sum, other) BOTH("q7", w, "16", sum, other, "q1", "q3", "vmladava")
TWO_WINDOWS(two_1, "vpstt\n vldrbt.8 q0, [r2]\n vldrbt.8 q2, [r4]\n", ROW_1)
TWO_WINDOWS(two_2,
            "vpstt\n vldrbt.8 q0, [r2]\n vldrbt.8 q2, [r4]\n"
            "vldrb.8 q1, [r2, #16]\n vldrb.8 q3, [r4, #16]\n",
            ROW_2)

// Longer ones are read again for every four channels: eight sums in every even register. None is left to
// count steps: a jump leads into fifteen of them, each of 56 bytes.
#define PAIR_STEP(loads, mac)                               \
    loads "vldrb.8 q2, [r1], #16\n" mac " r0, q0, q2\n" mac \
          " r8, q1, q2\n"                                   \
          "vldrb.8 q3, [r3], #16\n" mac " r2, q0, q3\n" mac \
          " r10, q1, q3\n"                                  \
          "vldrb.8 q2, [r5], #16\n" mac " r4, q0, q2\n" mac \
          " r12, q1, q2\n"                                  \
          "vldrb.8 q3, [r7], #16\n" mac " r6, q0, q3\n" mac " r14, q1, q3\n"
FUNCTION(two_long) {
    asm volatile(BEGIN
        "sub sp, #36\n" HALFWORDS
        "ldr r2, [r0, #44]\n"
        "vdup.16 q7, r2\n"
        "str r0, [sp, #32]\n"
        "ldr r2, [r0, #36]\n"
        "rsb r2, r2, #16\n"
        "movs r4, #56\n"
        "mul r2, r2, r4\n"
        "adr.w r4, 2f\n"
        "add r2, r4\n"
        "add r2, #1\n"
        "str r2, [sp, #8]\n"
        "ldr r4, [r0, #24]\n"
        "ldr r6, [r0, #20]\n"
        "sub r6, #16\n"
        "ldr r2, [r0, #12]\n"
        "add r2, r2, r2, lsl #1\n"
                 "ldr r9, [r0, #40]\n"
                 "sub r2, r9\n"
        "strd r6, r2, [sp, #24]\n"
        "0:\n"
        "ldrd r9, r11, [r0]\n"
        "strd r9, r11, [sp]\n"
        "ldr r2, [r0, #56]\n"
        "add r9, r2\n"
        "add r11, r2\n"
        "strd r9, r11, [r0]\n" WEIGHTS
        "ldr r2, [r0, #16]\n"
        "strd r2, r4, [sp, #16]\n"
        "ldr r2, [r0, #28]\n"
        "add r4, r4, r2, lsl #2\n"
        "str r4, [sp, #12]\n"
        "1:\n"
        "ldrd r9, r11, [sp]\n"
        PAIR_STEP("vpstt\n vldrbt.8 q0, [r9], #16\n vldrbt.8 q1, [r11], #16\n", "vmladav.s8")
        "ldr pc, [sp, #8]\n"
        "2:\n"
        ".rept 15\n" PAIR_STEP("vldrb.8 q0, [r9], #16\n vldrb.8 q1, [r11], #16\n", "vmladava.s8")
        ".endr\n"
        "vmov q0[2], q0[0], r0, r4\n"
        "vmov q0[3], q0[1], r2, r6\n"
        "vmov q1[2], q1[0], r8, r12\n"
        "vmov q1[3], q1[1], r10, r14\n"
        "ldrd r2, r4, [sp, #16]\n"
        "ldrd r6, r8, [sp, #24]\n"
        RESCALE_TWO("q0", "q1", "q2", "q3", "vldrw.u32 q2, [r2], #16\n",
                    "add r10, r2, r6\n vldrw.u32 q2, [r10], #16\n",
                    "add r10, r6\n vldrw.u32 q2, [r10]\n")
        "vqadd.s16 q0, q0, q7\n"
        "vmax.s16 q0, q0, q5\n"
        "add r1, r8\n"
        "add r3, r8\n"
        "vmin.s16 q0, q0, q6\n"
        "add r5, r8\n"
        "add r7, r8\n"
        "vstrb.16 q0, [r4, q4]\n"
        "adds r4, #4\n"
        "strd r2, r4, [sp, #16]\n"
        "ldr r9, [sp, #12]\n"
        "cmp r4, r9\n"
        "bne.w 1b\n"
        "ldr r0, [sp, #32]\n"
        "ldr r2, [r0, #32]\n"
        "add r4, r2\n" COUNT
        "bne.w 0b\n"
        "add sp, #36\n" END);
}
#undef BEGIN
#undef END

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

// use(first, second, count, step) for `count` twos of output cells in order, from two to two twice the step
// further; the second is null for a cell that has no neighbour. A window is read in place where it is one run
// of bytes, else from copy[0 or 1]. With `pad`, rows are padded in the scratch where they fit, which then has
// no room for copies, nor needs them.
template <typename Use>
inline void for_windows(const OperatorContext& c, bool pad, int8_t* const copy[2], Use use) {
    const Tensor& x = *c.input[0];
    const WindowParams& w = header<ConvParams>(c).window;
    const int32_t ic = x.dim[3], columns = c.output->dim[2], rows = c.output->dim[1], step = w.stride_w * ic;
    const bool flat = w.kernel_h == 1 && w.dilation_w == 1;
    const int8_t* waiting = nullptr;
    const auto add = [&](const int8_t* cell) {
        if (waiting != nullptr) use(waiting, cell, 1, 0);
        waiting = waiting != nullptr ? nullptr : cell;
    };
    for (int32_t oy = 0; oy < rows; ++oy) {
        const int32_t iy = oy * w.stride_h - w.pad_top;
        if (pad && waiting != nullptr) add(nullptr);
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
            if (last > columns) last = columns;
        }
        for (int32_t ox = 0; ox < columns; ++ox) {
            const bool inside = ox >= first && ox < last;
            if (inside && waiting == nullptr && ox + 1 < last) {
                const int32_t twos = (last - ox) / 2;
                use(row + ox * step, row + (ox + 1) * step, size_t(twos), step);
                ox += 2 * twos - 1;
            } else {
                add(inside ? row + ox * step : window(x, w, oy, ox, copy[waiting == nullptr ? 0 : 1]));
            }
        }
    }
    if (waiting != nullptr) add(nullptr);
}

void in_place(const OperatorContext& c) {
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const size_t channels = y.dim[3];
    const size_t taps = size_t(p.window.kernel_h * p.window.kernel_w * c.input[0]->dim[3]);
    const size_t steps = (taps + 15) / 16, skip = 16 * steps - taps;
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), channels);
    const bool pairs = taps <= kTwo || taps > kOne;
    const RunWindows run = taps > kOne  ? two_long
                           : steps == 1 ? two_1
                           : steps == 2 ? two_2
                           : steps == 3 ? one_3
                                        : one_4;
    Windows job = {{},
                   a.weights - skip,
                   taps,
                   a.bias,
                   4 * channels,
                   i8_out(&y),
                   channels / 4,
                   0,
                   steps,
                   uint32_t(skip),
                   y.zero_point,
                   p.clamp.low,
                   p.clamp.high,
                   0,
                   0};
    // `count` windows, or twos, whose outputs follow each other.
    const auto run_cells = [&](const int8_t* first, const int8_t* second, size_t count, int32_t advance) {
        const size_t at_once = channels % 4 == 0 ? count : 1;
        for (size_t i = 0; i < count; i += at_once) {
            job.x[0] = first - skip + int32_t(i) * advance;
            job.x[1] = second - skip + int32_t(i) * advance;
            job.advance = size_t(advance);
            job.count = at_once;
            run(&job);
            if (channels % 4 != 0) {
                // The last four channels once more where they are no four of their own.
                Windows rest = job;
                rest.x[0] -= advance;
                rest.x[1] -= advance;
                rest.weights += (channels - 4) * taps;
                rest.bias += channels - 4;
                rest.out += channels - 4;
                rest.quads = rest.count = 1;
                run(&rest);
            }
            job.out += at_once * (channels + job.apart);
        }
    };
    auto* scratch = reinterpret_cast<int8_t*>(c.scratch.data());
    int8_t* const copy[2] = {scratch, scratch + taps};
    for_windows(c, taps <= kOne, copy,
                [&](const int8_t* first, const int8_t* second, size_t count, int32_t step) {
                    job.apart = pairs && second != nullptr ? channels : 0;
                    if (second == nullptr) return run_cells(first, first, 1, 0);
                    if (pairs) return run_cells(first, second, count, 2 * step);
                    if (second == first + step) return run_cells(first, first, 2 * count, step);
                    run_cells(first, first, 1, 0);
                    run_cells(second, second, 1, 0);
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
    if (taps <= kLong && channels >= 4 && channels <= kFarthest) {
        in_place(c);
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
