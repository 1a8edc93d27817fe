// max_pool and average_pool: PoolParams of params.h. Cells outside the input do not count; the average
// divides by the number of those inside, ties away from zero, and does not rescale.
#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

// Cells k in [first, last) of a window that starts at `start` lie inside [0, size).
struct Range {
    int32_t first, last;
};
Range inside(int32_t start, int32_t kernel, int32_t dilation, int32_t size) {
    const int32_t first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    const int32_t room = size - start;
    const int32_t last = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    return {first, last < kernel ? last : kernel};
}

Code prepare_pool(const OperatorContext& c) {
    const Code code = check_int8<PoolParams>(c, 1);
    if (code != Code::ok) return code;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const PoolParams& p = header<PoolParams>(c);
    const WindowParams& w = p.window;
    if (x.rank != 4 || y.rank != 4 || x.dim[0] != 1 || y.dim[0] != 1 || x.dim[3] != y.dim[3])
        return Code::invalid;
    if (!valid_window(w) || !valid_clamp(p.clamp) || !same_quantisation(x, y)) return Code::out_of_range;
    // Every window holds at least one cell of the input, so that the average never divides by 0.
    for (int32_t i = 0; i < y.dim[1]; ++i) {
        const Range r = inside(i * w.stride_h - w.pad_top, w.kernel_h, w.dilation_h, x.dim[1]);
        if (r.first >= r.last) return Code::out_of_range;
    }
    for (int32_t i = 0; i < y.dim[2]; ++i) {
        const Range r = inside(i * w.stride_w - w.pad_left, w.kernel_w, w.dilation_w, x.dim[2]);
        if (r.first >= r.last) return Code::out_of_range;
    }
    return Code::ok;
}

struct Max {
    int32_t value = -128;
    void add(int32_t v) { value = v > value ? v : value; }
    int32_t result() const { return value; }
};

struct Average {
    int32_t sum = 0, count = 0;
    void add(int32_t v) {
        sum += v;
        ++count;
    }
    int32_t result() const { return (sum > 0 ? sum + count / 2 : sum - count / 2) / count; }
};

template <typename Reducer>
LOCKSTEP_FALLBACK void eval_pool(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const PoolParams& p = header<PoolParams>(c);
    const WindowParams& w = p.window;
    const int32_t width = x.dim[2], channels = x.dim[3];
    int8_t* out = i8_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const int32_t y0 = oy * w.stride_h - w.pad_top;
        const Range rows = inside(y0, w.kernel_h, w.dilation_h, x.dim[1]);
        for (int32_t ox = 0; ox < y.dim[2]; ++ox) {
            const int32_t x0 = ox * w.stride_w - w.pad_left;
            const Range columns = inside(x0, w.kernel_w, w.dilation_w, width);
            for (int32_t ch = 0; ch < channels; ++ch) {
                Reducer reduce;
                for (int32_t ky = rows.first; ky < rows.last; ++ky) {
                    const int8_t* row = i8(&x) + (y0 + ky * w.dilation_h) * width * channels + ch;
                    for (int32_t kx = columns.first; kx < columns.last; ++kx)
                        reduce.add(row[(x0 + kx * w.dilation_w) * channels]);
                }
                *out++ = int8_t(clamp(reduce.result(), p.clamp.low, p.clamp.high));
            }
        }
    }
}

}  // namespace

LOCKSTEP_FALLBACK void reference_max_pool(const OperatorContext& c) {
    eval_pool<Max>(c);
}
LOCKSTEP_FALLBACK void reference_average_pool(const OperatorContext& c) {
    eval_pool<Average>(c);
}
void eval_max_pool(const OperatorContext& c) {
    if (!kernels::max_pool(c)) reference_max_pool(c);
}
void eval_average_pool(const OperatorContext& c) {
    if (!kernels::average_pool(c)) reference_average_pool(c);
}

const Operator kMaxPool = {kOpMaxPool, "max_pool", prepare_pool, eval_max_pool};
const Operator kAveragePool = {kOpAveragePool, "average_pool", prepare_pool, eval_average_pool};

}  // namespace lockstep::model
