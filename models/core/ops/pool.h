// What the pools of int8 and int16 share. Cells outside the input do not count; the average divides by the
// number of those inside, ties away from zero, and does not rescale.
#pragma once

#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"

namespace lockstep::model {

// Cells k in [first, last) of a window that starts at `start` lie inside [0, size).
struct CellRange {
    int32_t first, last;
};
inline CellRange cells_inside(int32_t start, int32_t kernel, int32_t dilation, int32_t size) {
    const int32_t first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    const int32_t room = size - start;
    const int32_t last = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    return {first, last < kernel ? last : kernel};
}

// Shapes, and that every window holds at least one cell of the input, so that the average never divides by 0.
inline Code check_pool(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const WindowParams& w = header<PoolParams>(c).window;
    if (x.rank != 4 || y.rank != 4 || x.dim[0] != 1 || y.dim[0] != 1 || x.dim[3] != y.dim[3])
        return Code::invalid;
    if (!valid_window(w) || !same_quantisation(x, y)) return Code::out_of_range;
    for (int32_t i = 0; i < y.dim[1]; ++i) {
        const CellRange r = cells_inside(i * w.stride_h - w.pad_top, w.kernel_h, w.dilation_h, x.dim[1]);
        if (r.first >= r.last) return Code::out_of_range;
    }
    for (int32_t i = 0; i < y.dim[2]; ++i) {
        const CellRange r = cells_inside(i * w.stride_w - w.pad_left, w.kernel_w, w.dilation_w, x.dim[2]);
        if (r.first >= r.last) return Code::out_of_range;
    }
    return Code::ok;
}

struct MaxOf {
    int32_t value = INT16_MIN;
    void add(int32_t v) { value = v > value ? v : value; }
    int32_t result() const { return value; }
};

struct AverageOf {
    int32_t sum = 0, count = 0;
    void add(int32_t v) {
        sum += v;
        ++count;
    }
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): check_pool() saw a cell in every window
    int32_t result() const { return (sum > 0 ? sum + count / 2 : sum - count / 2) / count; }
};

template <typename T, typename Reducer>
LOCKSTEP_FALLBACK void pool_cells(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const PoolParams& p = header<PoolParams>(c);
    const WindowParams& w = p.window;
    const int32_t width = x.dim[2], channels = x.dim[3];
    T* out = static_cast<T*>(y.data);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const int32_t y0 = oy * w.stride_h - w.pad_top;
        const CellRange rows = cells_inside(y0, w.kernel_h, w.dilation_h, x.dim[1]);
        for (int32_t ox = 0; ox < y.dim[2]; ++ox) {
            const int32_t x0 = ox * w.stride_w - w.pad_left;
            const CellRange columns = cells_inside(x0, w.kernel_w, w.dilation_w, width);
            for (int32_t ch = 0; ch < channels; ++ch) {
                Reducer reduce;
                for (int32_t ky = rows.first; ky < rows.last; ++ky) {
                    const T* row =
                        static_cast<const T*>(x.data) + (y0 + ky * w.dilation_h) * width * channels + ch;
                    for (int32_t kx = columns.first; kx < columns.last; ++kx)
                        reduce.add(row[(x0 + kx * w.dilation_w) * channels]);
                }
                *out++ = T(clamp(reduce.result(), p.clamp.low, p.clamp.high));
            }
        }
    }
}

}  // namespace lockstep::model
