// The frame of the pools: Reducer::run(block, channels, clamp, out) makes one output cell of the input cells
// under its window.
#pragma once

#include "models/core/ops/check.h"

namespace lockstep::model::kernels {

struct PoolBlock {
    const int8_t* from;
    int32_t rows, columns;
    size_t row_bytes, column_bytes;
    const int8_t* end;  // of the input
};

// Cells [first, first + count) of [start, start + size) that lie inside [0, limit).
struct Cut {
    int32_t first, count;
};
inline Cut cut(int32_t start, int32_t size, int32_t limit) {
    const int32_t first = start < 0 ? 0 : start;
    const int32_t end = start + size < limit ? start + size : limit;
    return {first, end - first};
}

// REQUIRES: dilation 1.
template <typename Reducer>
void pool(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const PoolParams& p = header<PoolParams>(c);
    const WindowParams& w = p.window;
    const size_t channels = x.dim[3];
    int8_t* out = i8_out(&y);
    PoolBlock b = {nullptr, 0, 0, x.dim[2] * channels, channels, i8(&x) + x.elements()};
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const Cut rows = cut(oy * w.stride_h - w.pad_top, w.kernel_h, x.dim[1]);
        for (int32_t ox = 0; ox < y.dim[2]; ++ox, out += channels) {
            const Cut columns = cut(ox * w.stride_w - w.pad_left, w.kernel_w, x.dim[2]);
            b.from = i8(&x) + (size_t(rows.first) * x.dim[2] + size_t(columns.first)) * channels;
            b.rows = rows.count;
            b.columns = columns.count;
            Reducer::run(b, channels, p.clamp, out);
        }
    }
}

}  // namespace lockstep::model::kernels
