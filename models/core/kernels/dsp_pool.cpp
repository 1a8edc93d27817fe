// max_pool and average_pool: four channels a word.
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {
namespace {

// Halfword sums of at most so many bytes cannot overflow.
constexpr int32_t kMostCells = 255;

inline uint32_t max4(uint32_t a, uint32_t b) {
    uint32_t out;
    asm("ssub8 %0, %1, %2\n sel %0, %1, %2" : "=&r"(out) : "r"(a), "r"(b) : "cc");
    return out;
}
inline uint32_t add_even(uint32_t sum, uint32_t v) {
    asm("sxtab16 %0, %0, %1" : "+r"(sum) : "r"(v));
    return sum;
}
inline uint32_t add_odd(uint32_t sum, uint32_t v) {
    asm("sxtab16 %0, %0, %1, ror #8" : "+r"(sum) : "r"(v));
    return sum;
}
inline int8_t mean(int32_t sum, int32_t n) {
    return int8_t((sum > 0 ? sum + n / 2 : sum - n / 2) / n);
}

struct Block {
    const int8_t* from;
    int32_t rows, columns;
    size_t row_bytes, column_bytes;
};

uint32_t max_of(const Block& b) {
    uint32_t best = 0x80808080;
    const int8_t* row = b.from;
    for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
        const int8_t* p = row;
        for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes)
            best = max4(best, load4(p));
    }
    return best;
}

uint32_t mean_of(const Block& b) {
    uint32_t evens = 0, odds = 0;
    const int8_t* row = b.from;
    for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
        const int8_t* p = row;
        for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes) {
            const uint32_t v = load4(p);
            evens = add_even(evens, v);
            odds = add_odd(odds, v);
        }
    }
    const int32_t n = b.rows * b.columns;
    const int8_t out[4] = {mean(int16_t(evens), n), mean(int16_t(odds), n), mean(int32_t(evens) >> 16, n),
                           mean(int32_t(odds) >> 16, n)};
    return load4(out);
}

// Cells [first, last) of [start, start + size) that lie inside [0, limit).
struct Cut {
    int32_t first, count;
};
inline Cut cut(int32_t start, int32_t size, int32_t limit) {
    const int32_t first = start < 0 ? 0 : start;
    const int32_t end = start + size < limit ? start + size : limit;
    return {first, end - first};
}

template <uint32_t (*kReduce)(const Block&)>
bool pool(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const PoolParams& p = header<PoolParams>(c);
    const WindowParams& w = p.window;
    const size_t channels = x.dim[3];
    if (channels % 4 != 0 || w.dilation_h != 1 || w.dilation_w != 1 || w.kernel_h * w.kernel_w > kMostCells)
        return false;
    int8_t* out = i8_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const Cut rows = cut(oy * w.stride_h - w.pad_top, w.kernel_h, x.dim[1]);
        for (int32_t ox = 0; ox < y.dim[2]; ++ox) {
            const Cut columns = cut(ox * w.stride_w - w.pad_left, w.kernel_w, x.dim[2]);
            Block b = {i8(&x) + size_t(rows.first * x.dim[2] + columns.first) * channels, rows.count,
                       columns.count, x.dim[2] * channels, channels};
            for (size_t o = 0; o < channels; o += 4, b.from += 4, out += 4) {
                const uint32_t v = kReduce(b);
                memcpy(out, &v, 4);
            }
        }
    }
    clamp_bytes(i8_out(&y), y.elements(), p.clamp);
    return true;
}

}  // namespace

bool max_pool(const OperatorContext& c) {
    return pool<max_of>(c);
}
bool average_pool(const OperatorContext& c) {
    return pool<mean_of>(c);
}

}  // namespace lockstep::model::kernels
#endif
