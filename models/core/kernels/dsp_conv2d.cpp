// conv2d: two cells by two output channels at a time. Each cell's window is widened once to 16 bits, in
// the order in which SXTB16 splits four weights, and serves all channels; the weights stay as they are.
#include "models/core/kernels/dsp_choice.h"
#if defined(LOCKSTEP_DSP_KERNELS)
#include "models/core/kernels/dsp.h"
#include "models/core/kernels/window.h"

namespace lockstep::model::kernels {
namespace {

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

// sum[0..1]: cells 0 and 1 with the weights w0; sum[2..3]: with w1. All are added to what is there.
inline void dot_2x2(const uint32_t* x, const int8_t* w0, const int8_t* w1, const uint32_t* end,
                    int32_t sum[4]) {
    const size_t fours = size_t(end - x) / 4;
    int32_t a = sum[0], b = sum[1], c = sum[2], d = sum[3];
#define FOUR_TAPS                  \
    "ldmia %[x]!, {r8-r11}\n"      \
    "ldr r12, [%[w0]], #4\n"       \
    "sxtb16 lr, r12, ror #8\n"     \
    "sxtb16 r12, r12\n"            \
    "smlad %[a], r8, r12, %[a]\n"  \
    "smlad %[b], r10, r12, %[b]\n" \
    "smlad %[a], r9, lr, %[a]\n"   \
    "smlad %[b], r11, lr, %[b]\n"  \
    "ldr r12, [%[w1]], #4\n"       \
    "sxtb16 lr, r12, ror #8\n"     \
    "sxtb16 r12, r12\n"            \
    "smlad %[c], r8, r12, %[c]\n"  \
    "smlad %[d], r10, r12, %[d]\n" \
    "smlad %[c], r9, lr, %[c]\n"   \
    "smlad %[d], r11, lr, %[d]\n"
    asm volatile(
        "ldr lr, %[n]\n"
        "lsls lr, lr, #31\n"
        "beq 1f\n" FOUR_TAPS
        "cmp %[x], %[end]\n"
        "beq 2f\n"
        "1:\n" FOUR_TAPS FOUR_TAPS
        "cmp %[x], %[end]\n"
        "bne 1b\n"
        "2:\n"
        : [x] "+r"(x), [w0] "+r"(w0), [w1] "+r"(w1), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
        : [end] "r"(end), [n] "m"(fours)
        : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#undef FOUR_TAPS
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

// A (1, k) kernel over one channel, stride 1: four cells by one output channel at a time. row[i] holds the
// padded row's samples i and i + 2, so that the window of cell p is row[p], row[p + 1], row[p + 4] ... and
// four cells share five words.
inline void dot_4x1(const uint32_t* row, const int8_t* w, const int8_t* end, size_t odd, int32_t sum[4]) {
    int32_t a = sum[0], b = sum[0], c = sum[0], d = sum[0];
    const int8_t* odd_fours = w + odd;
#define FOUR_TAPS                  \
    "ldmia %[x]!, {r8-r11}\n"      \
    "ldr r12, [%[w]], #4\n"        \
    "sxtb16 lr, r12\n"             \
    "smlad %[a], r8, lr, %[a]\n"   \
    "smlad %[b], r9, lr, %[b]\n"   \
    "smlad %[c], r10, lr, %[c]\n"  \
    "smlad %[d], r11, lr, %[d]\n"  \
    "sxtb16 r12, r12, ror #8\n"    \
    "ldr r8, [%[x]]\n"             \
    "smlad %[a], r9, r12, %[a]\n"  \
    "smlad %[b], r10, r12, %[b]\n" \
    "smlad %[c], r11, r12, %[c]\n" \
    "smlad %[d], r8, r12, %[d]\n"
    asm volatile(
        "cmp %[w], %[odd]\n"
        "beq 1f\n" FOUR_TAPS
        "b 2f\n"
        "1:\n" FOUR_TAPS FOUR_TAPS
        "2:\n"
        "cmp %[w], %[end]\n"
        "bne 1b\n"
        : [x] "+r"(row), [w] "+r"(w), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
        : [end] "r"(end), [odd] "r"(odd_fours)
        : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#undef FOUR_TAPS
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

// All channels of four cells. A function of its own: its loop needs every register.
__attribute__((noinline)) void temporal_cells(const uint32_t* row, const ChannelArrays& a, size_t channels,
                                              size_t taps, int32_t zero_point, int8_t* to) {
    const int8_t* weights = a.weights;
    const int32_t* bias = a.bias;
    for (const int32_t* end = bias + channels; bias != end; ++bias, weights += taps, ++to) {
        int32_t sum[4] = {*bias};
        dot_4x1(row, weights, weights + taps, taps % 8, sum);
        const Quick quick(bias[channels], bias[2 * channels]);
        int8_t* third = to + 2 * channels;
        to[0] = quick(sum[0], zero_point);
        to[channels] = quick(sum[1], zero_point);
        third[0] = quick(sum[2], zero_point);
        third[channels] = quick(sum[3], zero_point);
    }
}

void temporal(const Tensor& x, const Tensor& y, const WindowParams& w, const ChannelArrays& a,
              uint32_t* row) {
    const size_t channels = y.dim[3], cells = y.dim[2], taps = size_t(w.kernel_w);
    const int32_t width = x.dim[2], zero_point = y.zero_point;
    int8_t* out = i8_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy, out += cells * channels) {
        const int32_t iy = oy * w.stride_h - w.pad_top;
        const int8_t* in = i8(&x) + iy * width;
        const bool inside = iy >= 0 && iy < x.dim[1];
        const int32_t words = int32_t(temporal_row(uint32_t(cells), uint32_t(taps)));
        uint32_t before[2] = {};
        for (int32_t i = 0; i < words; ++i) {  // word i is complete when sample i + 2 comes
            const int32_t at = i - w.pad_left;
            const int32_t v = inside && at >= 0 && at < width ? in[at] : x.zero_point;
            if (i >= 2) row[i - 2] = (before[0] & 0xffff) | uint32_t(v) << 16;
            before[0] = before[1];
            before[1] = uint32_t(v);
        }
        for (size_t at = 0; at < cells; at += 4) {
            const size_t cell =
                at + 4 <= cells ? at : cells - 4;  // what is computed twice comes out the same
            temporal_cells(row + cell, a, channels, taps, zero_point, out + cell * channels);
        }
    }
}

// Two cells by every channel with weights in pairs (pairs_at): f = sum of x * halfword, e = sum of x * its
// low byte; then the odd channel's sum is (f - e) / 256 and the even one's e - 128 * sum of x.
struct PairsJob {
    const uint32_t* x;      // the two widened windows
    const int8_t* weights;  // of the channel pair
    const uint32_t* end;    // of x
    const int32_t* bias;    // of the channel pair
    int32_t sum_x[2];       // times 128
    uint32_t channel_bytes;
    int32_t zero_point;
    int8_t* out;
    uint32_t cell_step;  // from the first cell's output to the second's
    uint32_t pairs;      // left; a multiple of 2
    uint32_t skip;       // from the second pair of four channels to the next four
    uint32_t odd;        // (number of fours of taps) << 31
};

__attribute__((naked, noinline)) void run_pairs(PairsJob*) {
#define FOUR_TAPS               \
    "ldmia r0!, {r8-r11}\n"     \
    "ldrd r12, lr, [r1], #16\n" \
    "uxtb16 r3, r12\n"          \
    "smlad r4, r8, r12, r4\n"   \
    "smlad r5, r8, r3, r5\n"    \
    "smlad r6, r10, r12, r6\n"  \
    "smlad r7, r10, r3, r7\n"   \
    "uxtb16 r3, lr\n"           \
    "smlad r4, r9, lr, r4\n"    \
    "smlad r5, r9, r3, r5\n"    \
    "smlad r6, r11, lr, r6\n"   \
    "smlad r7, r11, r3, r7\n"
    asm volatile(
        "push {r4-r11, lr}\n"
        "push {r0}\n"
        "1:\n"
        "ldr r12, [sp]\n"
        "ldm r12, {r0-r3, r8, r9}\n"
        "ldr lr, [r12, #48]\n"
        "ldr r3, [r3]\n"
        "sub r5, r3, r8\n"
        "sub r7, r3, r9\n"
        "mov r4, r5\n"
        "mov r6, r7\n"
        "movs lr, lr\n"
        "beq 2f\n" FOUR_TAPS
        "cmp r0, r2\n"
        "beq 3f\n"
        "2:\n" FOUR_TAPS FOUR_TAPS
        "cmp r0, r2\n"
        "bne 2b\n"
        "3:\n"
        "ldr lr, [sp]\n"
        "ldr r3, [lr, #12]\n"        // bias
        "ldrd r8, r12, [lr, #24]\n"  // channel bytes, zero point
        "ldr r9, [r3, #4]\n"
        "add r10, r3, r8\n"
        "sub r4, r4, r5\n"
        "sub r6, r6, r7\n"
        "add r4, r9, r4, asr #8\n"
        "add r6, r9, r6, asr #8\n"
        "ldrd r0, r2, [r10]\n"  // multipliers
        "add r10, r10, r8\n"
        "ldrd r8, r9, [r10]\n"  // shifts
        "lsl r0, r0, #1\n"
        "lsl r2, r2, #1\n"
        "mvn r8, r8\n"
        "mvn r9, r9\n"
        "smmlar r5, r5, r0, r5\n"
        "smmlar r7, r7, r0, r7\n"
        "smmlar r4, r4, r2, r4\n"
        "smmlar r6, r6, r2, r6\n"
        "add r5, r5, r5, asr #31\n"
        "add r7, r7, r7, asr #31\n"
        "add r4, r4, r4, asr #31\n"
        "add r6, r6, r6, asr #31\n"
        "asr r5, r5, r8\n"
        "asr r7, r7, r8\n"
        "asr r4, r4, r9\n"
        "asr r6, r6, r9\n"
        "add r5, r5, #1\n"
        "add r7, r7, #1\n"
        "add r4, r4, #1\n"
        "add r6, r6, #1\n"
        "add r5, r12, r5, asr #1\n"
        "add r7, r12, r7, asr #1\n"
        "add r4, r12, r4, asr #1\n"
        "add r6, r12, r6, asr #1\n"
        "ssat r5, #8, r5\n"
        "ssat r7, #8, r7\n"
        "ssat r4, #8, r4\n"
        "ssat r6, #8, r6\n"
        "ldrd r0, r2, [lr, #32]\n"  // out, cell step
        "ldrd r8, r9, [lr, #40]\n"  // pairs left, skip
        "add r2, r0, r2\n"
        "strb r6, [r2, #1]\n"
        "strb r7, [r2]\n"
        "strb r4, [r0, #1]\n"
        "strb r5, [r0], #2\n"
        "add r3, r3, #8\n"
        "subs r8, r8, #1\n"
        // The second pair of four channels lies 8 bytes behind the first, the next four behind both.
        "lsls r10, r8, #31\n"
        "ite mi\n"
        "submi r1, r1, r9\n"
        "subpl r1, r1, #8\n"
        "str r0, [lr, #32]\n"
        "str r8, [lr, #40]\n"
        "str r3, [lr, #12]\n"
        "str r1, [lr, #4]\n"
        "cmp r8, #0\n"
        "bne 1b\n"
        "pop {r0}\n"
        "pop {r4-r11, pc}\n");
#undef FOUR_TAPS
}

int32_t total_of(const int8_t* x, size_t n) {
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i += 4) {
        const uint32_t v = load4(x + i);
        asm("smlad %0, %1, %3, %0\n smlad %0, %2, %3, %0"
            : "+r"(sum)
            : "r"(even(v)), "r"(odd(v)), "r"(0x00010001));
    }
    return int32_t(sum);
}

// Fills the two widened windows, cell after cell.
class Windows {
  public:
    Windows(const Tensor& x, const Tensor& y, const WindowParams& w, size_t taps, uint32_t* wide,
            int8_t* copy)
        : x_(x), w_(w), width_(y.dim[2]), taps_(taps), wide_(wide), copy_(copy) {}
    // The window as bytes; valid until the next one.
    const int8_t* next(size_t k) {
        const int8_t* at = window(x_, w_, oy_, ox_, copy_);
        widen(at, taps_, wide_ + 2 * k);
        if (++ox_ == width_) {
            ox_ = 0;
            ++oy_;
        }
        return at;
    }

  private:
    const Tensor& x_;
    const WindowParams& w_;
    int32_t width_;
    size_t taps_;
    uint32_t* wide_;
    int8_t* copy_;
    int32_t oy_ = 0, ox_ = 0;
};

// The parts of the scratch: two widened windows, then room for one as bytes and for a row of weights.
struct Layer {
    const OperatorContext& c;
    size_t cells, taps;
    ChannelArrays arrays;
    uint32_t* wide;
    explicit Layer(const OperatorContext& context)
        : c(context),
          cells(size_t(c.output->dim[1]) * c.output->dim[2]),
          taps(size_t(header<ConvParams>(c).window.kernel_h) * size_t(header<ConvParams>(c).window.kernel_w) *
               c.input[0]->dim[3]),
          arrays(channel_arrays(c.params, sizeof(ConvParams), c.output->dim[3])),
          wide(reinterpret_cast<uint32_t*>(c.scratch.data())) {}
    size_t groups() const { return (taps + 3) / 4; }
    int8_t* copy() const { return reinterpret_cast<int8_t*>(wide + 4 * groups()); }
    Windows windows() const {
        return Windows(*c.input[0], *c.output, header<ConvParams>(c).window, taps, wide, copy());
    }
};

void pairs(Windows windows, size_t cells, size_t taps, const ChannelArrays& a, const Tensor& y,
           const uint32_t* wide) {
    const size_t channels = y.dim[3];
    int8_t* out = i8_out(&y);
    for (size_t cell = 0; cell < cells; cell += 2) {
        const size_t n = cells - cell < 2 ? 1 : 2;
        const uint32_t row = uint32_t(4 * taps);  // of four channels
        PairsJob job = {wide,
                        a.weights,
                        wide + taps,
                        a.bias,
                        {},
                        uint32_t(4 * channels),
                        y.zero_point,
                        out,
                        uint32_t(n == 2 ? channels : 0),
                        uint32_t(channels / 2),
                        row - 8,
                        uint32_t(taps / 4) << 31};
        for (size_t k = 0; k < n; ++k)
            job.sum_x[k] = 128 * total_of(windows.next(k), taps);
        run_pairs(&job);
        out += n * channels;
    }
}

}  // namespace

namespace dsp {

void conv2d_temporal(const OperatorContext& c) {
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    temporal(*c.input[0], y, p.window, channel_arrays(c.params, sizeof(ConvParams), y.dim[3]),
             reinterpret_cast<uint32_t*>(c.scratch.data()));
    clamp_bytes(i8_out(&y), y.elements(), p.clamp);
}

void conv2d_pairs(const OperatorContext& c) {
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const Layer layer(c);
    pairs(layer.windows(), layer.cells, layer.taps, layer.arrays, y, layer.wide);
    clamp_bytes(i8_out(&y), y.elements(), p.clamp);
}

void conv2d_rows(const OperatorContext& c) {
    const Tensor& y = *c.output;
    const ConvParams& p = header<ConvParams>(c);
    const size_t channels = y.dim[3];
    const Layer layer(c);
    const size_t taps = layer.taps, cells = layer.cells;
    const ChannelArrays& a = layer.arrays;
    const uint32_t* end = layer.wide + 4 * layer.groups();
    Windows windows = layer.windows();
    // Weights are read in fours: behind the last channel's there must be something to read.
    const int8_t* last_row = a.weights + (channels - 1) * taps;
    if (taps % 4 != 0)
        last_row = static_cast<const int8_t*>(memcpy(layer.copy() + 4 * layer.groups(), last_row, taps));
    int8_t* out = i8_out(&y);
    const int32_t zero_point = y.zero_point;
    for (size_t cell = 0; cell < cells; cell += 2) {
        const bool two = cell + 1 < cells;
        for (size_t k = 0; k < (two ? 2u : 1u); ++k)
            windows.next(k);
        const int8_t* w = a.weights;
        const int32_t* bias = a.bias;
        // A lone last cell or channel is computed twice: written second, it stays right.
        const size_t cell_step = two ? channels : 0;
        for (size_t o = 0; o < channels; o += 2, w += 2 * taps, bias += 2, out += 2) {
            const bool pair = o + 1 < channels;
            const size_t step = pair ? 1 : 0;
            const int8_t* w1 = o + 1 + step == channels ? last_row : w + taps;
            int32_t sum[4] = {bias[0], bias[0], bias[step], bias[step]};
            dot_2x2(layer.wide, pair ? w : w1, w1, end, sum);
            const Quick second(bias[channels + step], bias[2 * channels + step]);
            out[cell_step + step] = second(sum[3], zero_point);
            out[step] = second(sum[2], zero_point);
            const Quick first(bias[channels], bias[2 * channels]);
            out[cell_step] = first(sum[1], zero_point);
            out[0] = first(sum[0], zero_point);
        }
        out += cell_step - channels % 2;
    }
    clamp_bytes(i8_out(&y), y.elements(), p.clamp);
}

}  // namespace dsp
}  // namespace lockstep::model::kernels
#endif
