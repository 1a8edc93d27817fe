// depthwise_conv2d: one channel's plane is copied with its padding, so that the bytes under a window lie
// at fixed distances; one gather and one vmladav make an output. Taps in one row need no gather, and there
// may be more of them.
#if defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/mve.h"

namespace lockstep::model::kernels {
namespace {

// One output: the bytes at fixed distances from `base` times the weights. Lanes without a tap weigh 0.
struct Near {  // up to 16 taps, at most 255 bytes away
    static constexpr int32_t kTaps = 16, kFarthest = 255;
    static constexpr bool kBeside = false;
    uint8x16_t at;
    int8x16_t weights;
    void place(const uint16_t* distance) {
        uint8_t narrow[16];
        for (int i = 0; i < 16; ++i)
            narrow[i] = uint8_t(distance[i]);
        at = vldrbq_u8(narrow);
    }
    void weigh(const int8_t* w) { weights = vldrbq_s8(w); }
    int32_t operator()(const int8_t* base) const {
        return vmladavq_s8(vldrbq_gather_offset_s8(base, at), weights);
    }
};
struct Far {  // up to 8 taps anywhere
    static constexpr int32_t kTaps = 8, kFarthest = 65535;
    static constexpr bool kBeside = false;
    uint16x8_t at;
    int16x8_t weights;
    void place(const uint16_t* distance) { at = vldrhq_u16(distance); }
    void weigh(const int8_t* w) { weights = vldrbq_s16(w); }
    int32_t operator()(const int8_t* base) const {
        return vmladavq_s16(vldrbq_gather_offset_s16(base, at), weights);
    }
};

struct Row {  // up to 64 taps, each beside the one before it
    static constexpr int32_t kTaps = 64, kFarthest = 63;
    static constexpr bool kBeside = true;
    int8x16_t weights[4];
    int steps;
    void place(const uint16_t*) {}
    void weigh(const int8_t* w) {
        for (int i = 0; i < 4; ++i)
            weights[i] = vldrbq_s8(w + 16 * i);
    }
    int32_t operator()(const int8_t* base) const {
        int32_t sum = 0;
        for (int i = 0; i < steps; ++i)
            sum = vmladavaq_s8(sum, vldrbq_s8(base + 16 * i), weights[i]);
        return sum;
    }
};

struct Quads {
    const int8_t* const* base;
    int8_t* out;
    int32_t bias, multiplier, shift, step;  // step: from four outputs to the next
    uint32x4_t place;
};

// `count` times four outputs of one channel; the shift is to the right.
#define FOUR_OUTPUTS(load, mac)                                                                              \
    asm volatile(                                                                                            \
        "dls lr, %[n]\n"                                                                                     \
        "1:\n"                                                                                               \
        "ldrd %[a], %[b], [%[base]], #8\n"                                                                   \
        "ldrd %[c], %[d], [%[base]], #8\n" load " q5, [%[a], %q[at]]\n" mac " %[a], q5, %q[w]\n" load        \
        " q6, [%[b], %q[at]]\n" mac " %[b], q6, %q[w]\n" load " q5, [%[c], %q[at]]\n" mac                    \
        " %[c], q5, %q[w]\n" load " q6, [%[d], %q[at]]\n" mac                                                \
        " %[d], q6, %q[w]\n"                                                                                 \
        "vmov q5[2], q5[0], %[a], %[c]\n"                                                                    \
        "vmov q5[3], q5[1], %[b], %[d]\n"                                                                    \
        "vadd.i32 q5, q5, %[bias]\n"                                                                         \
        "vqrdmulh.s32 q5, q5, %[m]\n"                                                                        \
        "vshr.s32 q6, q5, #31\n"                                                                             \
        "vqadd.s32 q5, q5, q6\n"                                                                             \
        "vrshl.s32 q5, %[s]\n"                                                                               \
        "vqadd.s32 q5, q5, %[zero]\n"                                                                        \
        "vmax.s32 q5, q5, %q[low]\n"                                                                         \
        "vmin.s32 q5, q5, %q[high]\n"                                                                        \
        "vstrb.32 q5, [%[out], %q[place]]\n"                                                                 \
        "add %[out], %[step]\n"                                                                              \
        "le lr, 1b\n"                                                                                        \
        : [base] "+r"(base), [out] "+r"(out), [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d)     \
        : [n] "r"(count), [at] "t"(dot.at), [w] "t"(dot.weights), [bias] "r"(q.bias), [m] "r"(q.multiplier), \
          [s] "r"(q.shift), [zero] "r"(bounds.zero_point), [low] "t"(bounds.low), [high] "t"(bounds.high),   \
          [place] "t"(q.place), [step] "r"(q.step)                                                           \
        : "q5", "q6", "lr", "cc", "memory")

__attribute__((noinline)) void run_quads(const Near& dot, const Quads& q, const Bounds& bounds,
                                         size_t count) {
    const int8_t* const* base = q.base;
    int8_t* out = q.out;
    int32_t a, b, c, d;
    FOUR_OUTPUTS("vldrb.u8", "vmladav.s8");
}
__attribute__((noinline)) void run_quads(const Far& dot, const Quads& q, const Bounds& bounds, size_t count) {
    const int8_t* const* base = q.base;
    int8_t* out = q.out;
    int32_t a, b, c, d;
    FOUR_OUTPUTS("vldrb.s16", "vmladav.s16");
}

template <int STEPS>
inline int32_t row_sum(const int8_t* base, const int8x16_t* weights) {
    int32_t sum = vmladavq_s8(vldrbq_s8(base), weights[0]);
    if (STEPS > 1) sum = vmladavaq_s8(sum, vldrbq_s8(base + 16), weights[1]);
    if (STEPS > 2) sum = vmladavaq_s8(sum, vldrbq_s8(base + 32), weights[2]);
    if (STEPS > 3) sum = vmladavaq_s8(sum, vldrbq_s8(base + 48), weights[3]);
    return sum;
}
template <int STEPS>
__attribute__((noinline)) void run_rows(const Row& dot, const Quads& q, const Bounds& bounds, size_t count) {
    const int8_t* const* base = q.base;
    int8_t* out = q.out;
    const int8x16_t weights[4] = {dot.weights[0], dot.weights[1], dot.weights[2], dot.weights[3]};
    for (; count != 0; --count, base += 4, out += q.step) {
        int32x4_t v = lanes(row_sum<STEPS>(base[0], weights), row_sum<STEPS>(base[1], weights),
                            row_sum<STEPS>(base[2], weights), row_sum<STEPS>(base[3], weights));
        v = vqrdmulhq_n_s32(vaddq_n_s32(v, q.bias), q.multiplier);
        v = finish(vrshlq_n_s32(vqaddq_s32(v, vshrq_n_s32(v, 31)), q.shift), bounds);
        vstrbq_scatter_offset_s32(out, q.place, v);
    }
}
void run_quads(const Row& dot, const Quads& q, const Bounds& bounds, size_t count) {
    (dot.steps == 4   ? run_rows<4>
     : dot.steps == 3 ? run_rows<3>
     : dot.steps == 2 ? run_rows<2>
                      : run_rows<1>)(dot, q, bounds, count);
}

// One channel of a row of cells, eight a step.
inline void copy_row(const int8_t* from, uint16x8_t columns, int32_t step, int8_t* to, int32_t cells) {
    asm volatile(
        "wlstp.16 lr, %[n], 2f\n"
        "1:\n"
        "vldrb.s16 q0, [%[from], %q[columns]]\n"
        "add %[from], %[step]\n"
        "vstrb.16 q0, [%[to]], #8\n"
        "letp lr, 1b\n"
        "2:\n"
        : [from] "+r"(from), [to] "+l"(to)
        : [n] "r"(cells), [step] "r"(step), [columns] "t"(columns)
        : "q0", "lr", "memory");
}
// Rows of up to eight cells.
inline void narrow_plane(const int8_t* from, int32_t row, uint16x8_t columns, int8_t* to, int32_t to_row,
                         int32_t cells, int32_t rows) {
    const mve_pred16_t some = vctp16q(uint32_t(cells));
    asm volatile(
        "dls lr, %[n]\n"
        "1:\n"
        "vpstt\n"
        "vldrbt.s16 q0, [%[from], %q[columns]]\n"
        "vstrbt.16 q0, [%[to]]\n"
        "add %[from], %[row]\n"
        "add %[to], %[to_row]\n"
        "le lr, 1b\n"
        : [from] "+r"(from), [to] "+l"(to)
        : [n] "r"(rows), [row] "r"(row), [to_row] "r"(to_row), [columns] "t"(columns), [some] "Up"(some)
        : "q0", "lr", "memory");
}

template <typename Dot>
bool planes(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const WindowParams& w = p.window;
    const int32_t height = x.dim[1], width = x.dim[2], ic = x.dim[3], oc = y.dim[3];
    const int32_t taps = w.kernel_h * w.kernel_w;
    if (WeightLayout(p.layout) != WeightLayout::rows || taps > Dot::kTaps) return false;
    // The padded plane as far as the windows reach.
    const int32_t plane_w = (y.dim[2] - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
    const int32_t plane_h = (y.dim[1] - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
    const int32_t reach = (w.kernel_h - 1) * w.dilation_h * plane_w + (w.kernel_w - 1) * w.dilation_w;
    const size_t cells = size_t(y.dim[1]) * y.dim[2], cells4 = (cells + 3) / 4 * 4;
    const size_t plane = size_t(plane_w) * size_t(plane_h);
    if (Dot::kBeside && reach != taps - 1) return false;
    if (reach > Dot::kFarthest || c.scratch.size() < plane_scratch_bytes(w, y.dim[1], y.dim[2]) ||
        !shifts_right(channel_arrays(c.params, sizeof(ConvParams), size_t(oc)), size_t(oc)))
        return false;

    auto* base = reinterpret_cast<const int8_t**>(c.scratch.data());  // of each output's window
    auto* padded = reinterpret_cast<int8_t*>(base + cells4);
    for (size_t k = 0; k < cells4; ++k) {
        const int32_t cell = int32_t(k < cells ? k : 0);
        base[k] = padded + cell / y.dim[2] * w.stride_h * plane_w + cell % y.dim[2] * w.stride_w;
    }
    uint16_t distance[Dot::kTaps < 16 ? 16 : Dot::kTaps] = {};
    for (int32_t t = 0; t < taps; ++t)
        distance[t] = uint16_t(t / w.kernel_w * w.dilation_h * plane_w + t % w.kernel_w * w.dilation_w);
    Dot dot = {};
    if constexpr (Dot::kBeside) dot.steps = (taps + 15) / 16;
    dot.place(distance);
    const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), size_t(oc));
    const Bounds bounds = bounds_of(y, p.clamp);
    const uint32x4_t place = vmulq_n_u32(vidupq_n_u32(0, 1), uint32_t(oc));
    const mve_pred16_t last = vctp32q(uint32_t(cells % 4));
    const uint16x8_t columns = vmulq_n_u16(vidupq_n_u16(0, 1), uint16_t(ic));
    memset(padded, x.zero_point, plane);
    const int32_t first_y = w.pad_top, first_x = w.pad_left;
    const int32_t rows = height < plane_h - first_y ? height : plane_h - first_y;
    const int32_t cols = width < plane_w - first_x ? width : plane_w - first_x;

    for (int32_t o = 0; o < oc; ++o) {
        const int32_t channel = o / (oc / ic);
        if (o % (oc / ic) == 0) {
            const int8_t* from = i8(&x) + channel;
            int8_t* to = padded + first_y * plane_w + first_x;
            if (cols <= 8 && cols > 0 && rows > 0)
                narrow_plane(from, width * ic, columns, to, plane_w, cols, rows);
            else
                for (int32_t row = 0; row < rows; ++row, from += width * ic, to += plane_w)
                    copy_row(from, columns, 8 * ic, to, cols);
        }
        int8_t weight[Dot::kTaps < 16 ? 16 : Dot::kTaps] = {};
        for (int32_t t = 0; t < taps; ++t)
            weight[t] = a.weights[t * oc + o];
        dot.weigh(weight);
        const int32_t bias = a.bias[o], multiplier = a.multiplier[o], shift = a.shift[o];
        int8_t* out = i8_out(&y) + o;
        const size_t whole = cells / 4;
        if (whole != 0) run_quads(dot, {base, out, bias, multiplier, shift, 4 * oc, place}, bounds, whole);
        if (cells % 4 == 0) continue;
        const int8_t* const* b = base + 4 * whole;
        int32x4_t v = lanes(dot(b[0]), dot(b[1]), dot(b[2]), dot(b[3]));
        v = vqrdmulhq_n_s32(vaddq_n_s32(v, bias), multiplier);
        v = finish(vrshlq_n_s32(vqaddq_s32(v, vshrq_n_s32(v, 31)), shift), bounds);
        vstrbq_scatter_offset_p_s32(out + 4 * whole * size_t(oc), place, v, last);
    }
    return true;
}

}  // namespace

bool depthwise_conv2d(const OperatorContext& c) {
    return planes<Near>(c) || planes<Far>(c) || planes<Row>(c);
}

}  // namespace lockstep::model::kernels
#endif
